/*
 * The progress model of the tree: attach, cancel with helping, detach, reap and
 * the hand-off of orphans, with threads that may stop for ever at any step.
 *
 * WHAT IT IS
 *
 * A few threads work on one tree of up to NODES nodes, every tree there is of
 * that size. Each may cancel, attach below, or drop whatever it has a handle to,
 * in any order, and ends when it has no handle left. One step of a thread is one
 * atomic access of the sources; pc says which comes next. What a thread does to
 * memory that is its own (a node before its push, `prev` and a dead link's
 * `reap_next` in the role of the reaper) belongs to the step next to it.
 *
 * WHERE THE STEPS ARE
 *
 *   mark.pml     src/protocol/{attach,cancel,mark}.rs, Lane::{push,close,enter,...}
 *   release.pml  src/protocol/release.rs, src/list/{bury,reap}.rs
 *   words.pml    src/state.rs, src/list/word.rs, memory and epochs
 *   promises.pml what must hold, by the numbers of docs/promises.md
 *
 * BOUNDS (-D)
 *
 *   NODES     nodes of a run, those made in it included: at most 4
 *   THREADS   how many threads
 *   CANCELS   how many cancels all of them make
 *   ATTACHES  how many children they attach
 *   STOPS     how many of them may stop for ever, at most THREADS - 1
 *   EXTRA     each node starts with a handle, anybody's; so many have one more
 *   REUSE     an attach takes the number of a node that was freed, if there is one
 *   BATCH     how many dead links call for a reaper
 *
 * PROGRESS
 *
 * A run has finitely many operations. So lock-freedom, which says that an endless
 * run completes endlessly many of them, means here that no run is endless: there
 * is no cycle of states. pan -l looks for cycles without progress, and as
 * nothing here is labelled as progress, it finds any. That nobody is blocked is
 * the search for invalid end states: a run ends only when each thread has ended,
 * or has stopped for ever.
 */

#ifndef NODES
#define NODES 4
#endif
#ifndef THREADS
#define THREADS 2
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef ATTACHES
#define ATTACHES 1
#endif
#ifndef EXTRA
#define EXTRA 1
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef BATCH
#define BATCH 2
#endif

/* Says once that a run came here. `check` asks for each of these. */
#ifdef COVER
#define covers(what) c_code { static int met; if (!met++) printf("covered: %s\n", what); }
#else
#define covers(what) skip
#endif

#include "words.pml"
#include "promises.pml"

/* The step that a thread does next: the access that it is named after. */
mtype = {
    IDLE, ENDED,
    /* attach */
    ATTACH_PEEK, PUSH, ATTACH_LOOK, ATTACH_MARK,
    /* cancel, and the walk */
    CANCEL, WAIT_SETTLED, CLOSE_PEEK, CLOSE, PIN, WALK_ENTER, FIRST, LINK_NEXT,
    MARK, SETTLE_CHILD, WALK_LEAVE, SETTLE, WALK_UP, WALK_UNPIN,
    /* release */
    HANDLE_PEEK, HANDLE_DROP, ORPHAN_LOAD, ORPHAN_CAS,
    PENDING_DROP, RELEASE_UNPIN, FREE_ROOT,
    /* bury and reap */
    BURY_LOAD, BURY, BURY_REAP_LOAD, BURY_REAP, WALKERS_EARLY, REAP_HEAD, UNLINK,
    BEHEAD_LOAD, BEHEAD, GAP_CLOSE, WALKERS_READ, FREE_NOW, DEFER_PIN, DEFER,
    REAP_EMPTY, LEAVE_LOAD, LEAVE
}

byte cancels = CANCELS;      /* still to be made */
byte attaches = ATTACHES;
byte made;                   /* nodes so far: 1 to `made` */
byte stops;                  /* threads stopped for ever */
byte ended;                  /* threads stopped or ended */

#define HAS(n) (pc == IDLE && (mine & BIT(n)))

/* An operation begins: any, on node `n`, to which the thread has a handle. */
#define BEGIN(n)                                                             \
    :: d_step { HAS(n) && cancels > 0 -> cancels--; node = n; pc = CANCEL }  \
    :: d_step { HAS(n) && attaches > 0 && CAN_ALLOC ->                       \
           attaches--; node = n; alloc(child, n, 1); pc = ATTACH_PEEK }      \
    :: d_step { HAS(n) ->                                                    \
           mine = mine & ~BIT(n); node = n; pc = HANDLE_PEEK }

/* The end of an operation. */
inline done() {
    node = 0; child = 0; owner = 0; seen = 0; word = 0; batch = 0;
    first = 0; newest = 0; lane = 0; won = 0; flag = 0; back = 0;
    if
    :: mine != 0 -> pc = IDLE
    :: else -> pc = ENDED; ended++
    fi
}

/* ---- what several steps lead to ---- */

/* The lane of `child` is closed, its head is `word`: on with the walk, or settle
 * what has nothing below. The winner has looked in `is_leaf`, and looks again in
 * `Walk::prepare`. */
inline closed() {
    if
    :: LINK(word) == 0 ->
        if
        :: back == PIN && won -> covers("a winner whose children left in between")
        :: else
        fi;
        pc = SETTLE_CHILD
    :: LINK(word) != 0 && back == CLOSE_PEEK -> back = PIN; pc = CLOSE_PEEK
    :: LINK(word) != 0 && back == PIN -> child = 0; pc = PIN
    :: else -> owner = child; child = 0; pc = WALK_ENTER
    fi;
    word = 0
}

/* On to the child, or back up if there is none. */
inline to_child() {
    seen = 0;
    word = 0;
    pc = (child != 0 -> LINK_NEXT : WALK_LEAVE)
}

/* `bury`: `node` is dead, and this thread's to bury. */
inline bury() {
    lane = parent[node];
    pc = (lane != 0 -> BURY_LOAD : FREE_ROOT)
}

inline bury_next() {
    flag = 0; seen = 0; word = 0; batch = 0; back = 0; lane = 0;
    if
    :: node != 0 -> bury()
    :: else -> done()
    fi
}

/* Quietly, if the burial calls for no reaper. */
inline to_bury() {
#ifdef BROKEN_BURIAL_WAITS
    /* Who finds the role taken waits for it. */
    pc = (WANTS_REAPER(LEFT(PUSHED(word, node))) -> BURY_REAP_LOAD : BURY)
#else
    pc = (WANTS_REAPER(PUSHED(word, node)) -> BURY_REAP_LOAD : BURY)
#endif
}

/* Nobody makes a handle or a child any more, and nobody looks into the count
 * before a lane is orphaned: so all that comes before that is one step. `orphan`
 * counts one more than the one lane. */
inline last_handle_gone() {
    if
    :: head[node] & PARENT -> handles[node] = ORPHAN_COUNT | 2; pc = ORPHAN_LOAD
    :: else -> handles[node] = 0; bury()
    fi
}

/* A pin that was perhaps never made. */
inline unpin_lazy() {
    if
    :: pinned & BIT(me) -> pc = RELEASE_UNPIN
    :: else -> bury_next()
    fi
}

/* Done with a batch. Only of an orphaned lane it is asked whether it is empty. */
inline disposed() {
    pc = (seen & ORPHAN -> REAP_EMPTY : LEAVE_LOAD)
}

/* `reap`: the role is taken, and `batch` with it. */
inline reap() {
    if
    :: batch == 0 -> disposed()
#ifdef BROKEN_WALKERS_EARLY
    :: else -> pc = WALKERS_EARLY
#else
    :: else -> pc = REAP_HEAD
#endif
    fi;
    word = 0
}

/* `left` has what calls for another round: a batch, a burial in an orphaned lane,
 * or the news that it is one. */
#define CAN_LEAVE(dead, seen)                                              \
    (((seen) & ORPHAN) -> LINK(dead) == 0 : !WANTS_REAPER(LEFT(dead)))

/* Writes `prev` of every link down to the first that has it. */
inline fill_prev() {
    j = first;
    do
    :: j == 0 -> break
    :: else ->
        touch(j);
        if
        :: next[j] == 0 || prev[next[j]] != 0 -> j = 0
        :: else -> touch(next[j]); prev[next[j]] = j; j = next[j]
        fi
    od
}

proctype thread(byte me; byte mine) {
    mtype pc = (mine != 0 -> IDLE : ENDED);
    mtype back;      /* where a subroutine returns to */
    byte node;       /* what the operation is about; in a burial what is buried */
    byte child;
    byte owner;      /* whose lane the walk is in */
    byte word;       /* the last value read, which a compare-and-swap expects */
    byte lane;       /* whose lane is reaped */
    byte batch;      /* what the reaper has taken */
    byte seen;       /* and the word it took it from; or the `next` of `child` */
    byte first, newest;
    bit won;         /* the cancel of `node` */
    bit flag;        /* `filled` in an unlinking; then whether the lane was emptied */

end:
    do
    BEGIN(1)
    BEGIN(2)
    BEGIN(3)
    BEGIN(4)
    /* A thread stops for ever, in the midst of an operation. */
    :: d_step { pc != IDLE && pc != ENDED && stops < STOPS ->
           stops++; mine = 0;
           if
           :: pinned & BIT(me) -> covers("a thread stopped in a walk")
           :: pc == LEAVE -> covers("a thread stopped in the role")
           :: else
           fi;
           done() }
#include "mark.pml"
#include "release.pml"
    od
}

#include "start.pml"
