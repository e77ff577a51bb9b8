    /* ---- attach (src/protocol/attach.rs) ---- */

    /* Lane::peek, in `link` */
    :: d_step { pc == ATTACH_PEEK -> touch(node);
           word = head[node];
#ifdef BROKEN_LOOK_FIRST
           seen = state[node];
#endif
           pc = PUSH }

    /* Lane::push */
    :: d_step { pc == PUSH -> touch(node);
           next[child] = LINK(word);
           if
           :: head[node] == word ->
               head[node] = WITH_LINK(word, child) | PARENT;
               pc = ATTACH_LOOK
           :: else -> covers("a push that lost"); word = head[node]
           fi }

    /* AtomicState::load, in `attach` */
    :: d_step { pc == ATTACH_LOOK -> touch(node);
#ifdef BROKEN_LOOK_FIRST
           word = seen;
#elif defined(BROKEN_ATTACH_RECHECK)
           word = LIVE;
#else
           word = state[node];
#endif
           if
           :: word != LIVE -> pc = ATTACH_MARK
           :: else ->
               mine = mine | BIT(child);
               attached = attached | BIT(child);
               check_attach(child);
               done()
           fi }

    /* AtomicState::finish_new */
    :: d_step { pc == ATTACH_MARK -> touch(child);
           if
           :: state[child] == LIVE ->
               covers("a child born done");
               check_mark(child, FROM(word));
               state[child] = FROM(word) | SETTLED
           :: else -> covers("a child that a walk marked first")
           fi;
           mine = mine | BIT(child);
           attached = attached | BIT(child);
           check_attach(child);
           done() }

    /* ---- cancel (src/protocol/cancel.rs) ---- */

    /* AtomicState::finish, in `cancel_by` */
    :: d_step { pc == CANCEL -> touch(node);
           owner = node;
           child = node;
           back = PIN;
           if
           :: state[node] == LIVE ->
               won = true;
               back = CLOSE_PEEK;
#ifndef BROKEN_ROOT_LAST
               state[node] = node;
#endif
#ifdef BROKEN_SETTLE_EARLY
               state[node] = node | SETTLED;
#endif
               pc = CLOSE_PEEK
           :: IS_SETTLED(state[node]) ->
               covers("a loser that finds all settled");
               check_cancel(node); done()
           :: else ->
               covers("a loser that helps");
#if defined(BROKEN_LOSER_SPINS) || defined(BROKEN_LOSER_BLOCKS)
               pc = WAIT_SETTLED
#elif defined(BROKEN_LOSER_RETURNS)
               check_cancel(node); done()
#else
               pc = CLOSE_PEEK
#endif
           fi }

#ifdef BROKEN_LOSER_BLOCKS
    :: d_step { pc == WAIT_SETTLED && IS_SETTLED(state[node]) ->
           check_cancel(node); done() }
#endif

#ifdef BROKEN_LOSER_SPINS
    :: d_step { pc == WAIT_SETTLED -> touch(node);
           if
           :: IS_SETTLED(state[node]) -> check_cancel(node); done()
           :: else
           fi }
#endif

    /* Lane::close of `child`: of the cancelled node in `is_leaf` and
     * `Walk::prepare`, of a marked one in `Walk::mark` */
    :: d_step { pc == CLOSE_PEEK -> touch(child);
           word = head[child];
           if
           :: word & CLOSED -> closed()
           :: else -> pc = CLOSE
           fi }

    :: d_step { pc == CLOSE -> touch(child);
           if
           :: head[child] == word ->
               head[child] = word | CLOSED;
               closed()
           :: else ->
               covers("a close that lost");
               word = head[child];
               if
               :: word & CLOSED -> closed()
               :: else
               fi
           fi }

    /* ---- the walk (src/protocol/mark.rs) ---- */

    /* epoch::pin, in `mark_all` */
    :: d_step { pc == PIN ->
#ifndef BROKEN_NO_PIN
           pinned = pinned | BIT(me);
#endif
           pc = WALK_ENTER }

    /* Lane::enter, in `Walk::enter`; the lane was closed before */
    :: d_step { pc == WALK_ENTER -> touch(owner);
           walkers[owner]++;
           pc = FIRST }

    /* Lane::first */
    :: d_step { pc == FIRST -> touch(owner);
           child = LINK(head[owner]);
           to_child() }

    /* Link::next, in `Walk::run` */
    :: d_step { pc == LINK_NEXT -> touch(child);
           seen = next[child];
           pc = MARK }

    /* AtomicState::finish, in `Walk::mark`: a settled one is passed by, but by
     * the winner, who has waiters to claim below */
    :: d_step { pc == MARK -> touch(child); touch(owner);
           if
           :: state[child] == LIVE ->
               word = FROM(state[owner]);
#ifdef BROKEN_ROOT_LAST
               word = node;
#endif
               check_mark(child, word);
               state[child] = word
           :: else
           fi;
           if
           :: IS_SETTLED(state[child]) && !(won && FROM(state[child]) == node) ->
               covers("a walk that passes by what is settled");
               child = seen;
               to_child()
           :: else ->
               if
               :: IS_SETTLED(state[child]) ->
                   covers("a winner that enters what is settled")
               :: !IS_SETTLED(state[child]) && FROM(state[child]) == child ->
                   covers("a walk that helps another cancel below")
               :: else
               fi;
               back = WALK_ENTER;
               pc = CLOSE_PEEK
           fi }

    /* AtomicState::settle, of one below which there is nothing */
    :: d_step { pc == SETTLE_CHILD -> touch(child);
           check_settle(child, FROM(state[child]));
           state[child] = state[child] | SETTLED;
           if
           :: child == node -> check_cancel(node); done()
           :: else -> child = seen; to_child()
           fi }

    /* Lane::leave, in `Walk::up` */
    :: d_step { pc == WALK_LEAVE -> touch(owner);
           walkers[owner]--;
           pc = SETTLE }

    /* AtomicState::settle, in `Walk::up`; its load and its store are one step, as
     * nobody writes anything else here (S1) */
    :: d_step { pc == SETTLE -> touch(owner);
           check_settle(owner, FROM(state[owner]));
           state[owner] = state[owner] | SETTLED;
           if
           :: owner == node -> pc = WALK_UNPIN
           :: else -> pc = WALK_UP
           fi }

    /* Link::next, in `Walk::up` */
    :: d_step { pc == WALK_UP -> touch(owner);
           child = next[owner];
           owner = parent[owner];
           touch(owner);
           to_child() }

    /* The end of the pin, and of the cancel */
    :: d_step { pc == WALK_UNPIN ->
           unpin(me);
           check_cancel(node);
           done() }
