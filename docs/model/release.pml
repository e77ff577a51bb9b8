    /* ---- the last handle (NodeRef::drop, src/protocol/release.rs) ---- */

    /* Who reads 1 has the last, and writes nothing */
    :: d_step { pc == HANDLE_PEEK -> touch(node);
           if
           :: handles[node] == 1 -> last_handle_gone()
           :: else -> pc = HANDLE_DROP
           fi }

    :: d_step { pc == HANDLE_DROP -> touch(node);
           handles[node]--;
           if
           :: handles[node] == 0 -> last_handle_gone()
           :: else -> done()
           fi }

    /* Lane::orphan */
    :: d_step { pc == ORPHAN_LOAD -> touch(node);
           word = dead[node];
           pc = ORPHAN_CAS }

    :: d_step { pc == ORPHAN_CAS -> touch(node);
           lane = node;
           back = PENDING_DROP;
           if
           :: dead[node] != word -> word = dead[node]
           :: dead[node] == word && (word & BUSY) ->
               covers("an orphan left to the reaper");
               dead[node] = word | ORPHAN;
               flag = false;
               pc = PENDING_DROP
           :: else ->
               dead[node] = TAKEN(word) | ORPHAN;
               batch = LINK(word);
               seen = word | ORPHAN;
               reap()
           fi }

    /* `give_up`: by who orphaned the node itself and, if emptied, its lane; by
     * who buried a child the lane that is now empty */
    :: d_step { pc == PENDING_DROP -> touch(lane);
           word = (back == PENDING_DROP -> 1 + flag : 1);
#ifdef BROKEN_HAND_OFF
           /* The lane of an orphan is given up by who orphaned it, or by nobody. */
           if
           :: back != PENDING_DROP -> word = 0
           :: else
           fi;
#endif
           node = (handles[lane] == (ORPHAN_COUNT | word) -> lane : 0);
           handles[lane] = handles[lane] - word;
           if
           :: node != 0 ->
               if
               :: back == BURY -> covers("an orphan that ends with its last child")
               :: else -> covers("an orphan that ends at once")
               fi;
               handles[node] = 0
           :: else
           fi;
           unpin_lazy() }

    /* LazyPin, at the end of `bury` and of `orphan_lanes`; then `bury_all` goes on
     * with what is dead now */
    :: d_step { pc == RELEASE_UNPIN ->
           unpin(me);
           bury_next() }

    /* Node::free, of one that is in no list */
    :: d_step { pc == FREE_ROOT -> free(node); done() }

    /* ---- bury (src/list/bury.rs), in the lane of the parent ---- */

    /* Lane::bury_quietly */
    :: d_step { pc == BURY_LOAD -> touch(lane); touch(node);
           word = dead[lane];
           to_bury() }

    :: d_step { pc == BURY -> touch(lane); touch(node);
           reap_next[node] = LINK(word);
           if
           :: dead[lane] == word ->
               dead[lane] = PUSHED(word, node);
               done()
           :: else -> covers("a burial that lost"); word = dead[lane]; to_bury()
           fi }

    /* Lane::bury */
    :: d_step { pc == BURY_REAP_LOAD -> touch(lane);
           word = dead[lane];
           if
           :: WANTS_REAPER(PUSHED(word, node)) -> pc = BURY_REAP
           :: else -> pc = BURY_LOAD
           fi }

    :: d_step { pc == BURY_REAP -> touch(lane); touch(node);
           reap_next[node] = LINK(word);
           if
           :: dead[lane] == word ->
               dead[lane] = TAKEN(word);
               batch = node;
               seen = word;
               back = BURY;
               reap()
           :: else -> pc = BURY_LOAD
           fi }

    /* ---- reap (src/list/reap.rs) ---- */

#ifdef BROKEN_WALKERS_EARLY
    :: d_step { pc == WALKERS_EARLY -> touch(lane);
           won = (walkers[lane] == 0);
           pc = REAP_HEAD }
#endif

    /* `unlink_all`. From here on `word` is what is still to be unlinked. */
    :: d_step { pc == REAP_HEAD -> touch(lane);
           newest = LINK(head[lane]);
           first = newest;
           word = batch;
           flag = false;
           pc = UNLINK }

    /* One link of the batch: stepped over at the head, or unlinked */
    :: d_step { pc == UNLINK -> touch(word);
           if
           :: word == first -> first = next[first]
           :: else ->
               if
               :: !flag -> fill_prev(); flag = true
               :: else
               fi;
               covers("a link unlinked from the middle");
               touch(prev[word]);
               next[prev[word]] = next[word];
               set_prev(next[word], prev[word])
           fi;
           word = reap_next[word];
           if
           :: word != 0
           :: word == 0 && first != newest -> flag = false; pc = BEHEAD_LOAD
           :: else -> flag = false; pc = WALKERS_READ
           fi }

    /* `behead` */
    :: d_step { pc == BEHEAD_LOAD -> touch(lane);
           word = head[lane];
           if
           :: LINK(word) == newest -> pc = BEHEAD
           :: else -> pc = GAP_CLOSE
           fi }

    :: d_step { pc == BEHEAD -> touch(lane);
           if
           :: head[lane] == word ->
               head[lane] = WITH_LINK(word, first);
               set_prev(first, 0);
               word = 0;
               pc = WALKERS_READ
           :: else -> covers("a behead that lost"); pc = BEHEAD_LOAD
           fi }

    /* `close_gap` */
    :: d_step { pc == GAP_CLOSE ->
           covers("a gap closed");
           j = LINK(word);
           do
           :: next[j] == newest -> break
           :: else -> touch(j); j = next[j]
           od;
           touch(j);
           next[j] = first;
           set_prev(first, 0);
           word = 0;
           pc = WALKERS_READ }

    /* `dispose`, and `nobody_walks` in it */
    :: d_step { pc == WALKERS_READ -> touch(lane);
           newest = 0; first = 0;
           if
#if defined(BROKEN_FREE_AT_ONCE)
           :: true -> pc = FREE_NOW
#elif defined(BROKEN_WALKERS_EARLY)
           :: won -> pc = FREE_NOW
#else
           :: walkers[lane] == 0 -> pc = FREE_NOW
#endif
           :: else -> pc = DEFER_PIN
           fi }

    /* `free_all` */
    :: d_step { pc == FREE_NOW ->
           do
           :: batch != 0 ->
               touch(batch);
               word = reap_next[batch];
               free(batch);
               batch = word
           :: else -> break
           od;
           word = 0;
           disposed() }

    :: d_step { pc == DEFER_PIN ->
           pinned = pinned | BIT(me);
           pc = DEFER }

    :: d_step { pc == DEFER ->
           do
           :: batch != 0 ->
               touch(batch);
               waits_for[batch] = pinned;
               batch = reap_next[batch]
           :: else -> break
           od;
           disposed() }

    /* `is_empty`: then the role is kept for ever */
    :: d_step { pc == REAP_EMPTY -> touch(lane);
           flag = LINK(head[lane]) == 0;
           pc = (flag -> PENDING_DROP : LEAVE_LOAD) }

    /* `leave_role` */
    :: d_step { pc == LEAVE_LOAD -> touch(lane);
           word = dead[lane];
           pc = LEAVE }

    :: d_step { pc == LEAVE -> touch(lane);
           if
           :: dead[lane] != word -> word = dead[lane]
#ifdef BROKEN_NO_LOOK_AGAIN
           :: dead[lane] == word ->
#else
           :: dead[lane] == word && CAN_LEAVE(word, seen) ->
#endif
               dead[lane] = LEFT(word);
               flag = false;
               if
               :: back == PENDING_DROP -> pc = PENDING_DROP
               :: else -> node = 0; unpin_lazy()
               fi
           :: else ->
               covers("a reaper that goes another round");
               dead[lane] = TAKEN(word);
               batch = LINK(word);
               seen = word;
               reap()
           fi }
