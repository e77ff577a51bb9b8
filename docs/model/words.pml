/*
 * Words and memory.
 *
 *   state    LIVE, or the node by which it is done | SETTLED. It names itself:
 *            PLAIN; it names another: INHERITED (src/state.rs)
 *   head     newest link | CLOSED | PARENT
 *   dead     top of the dead stack | length | BUSY | ORPHAN (src/list/word.rs)
 *   walkers  how many walks are in the lane
 *   handles  handles, or ORPHAN_COUNT | lanes not given up and one more
 *
 * A node is its number, a link is the node it lies in, 0 is null. Numbers are not
 * used twice, so that a use after the free is seen; or, with REUSE, as soon as they
 * are free, so that compare-and-swaps meet an address that has come back.
 *
 * Epochs: what is deferred waits for all threads that are pinned then, and is
 * freed as soon as the last of them unpins: the earliest that a collector may.
 */

#define BIT(n) (1 << (n))

#define LIVE 0
#define SETTLED 8
#define FROM(state) ((state) & 7)
#define IS_SETTLED(state) ((state) & SETTLED)

#define CLOSED 8
#define PARENT 16
#define LINK(word) ((word) & 7)
#define WITH_LINK(head, link) (((head) & ~7) | (link))

#define ONE 8
#define BUSY 64
#define ORPHAN 128
#define LEN(dead) (((dead) >> 3) & 7)
#ifdef BROKEN_TWO_REAPERS
#define BUSY_SEEN 0
#else
#define BUSY_SEEN BUSY
#endif
#define WANTS_REAPER(dead) (!((dead) & BUSY_SEEN) && (((dead) & ORPHAN) || LEN(dead) >= BATCH))
#define PUSHED(dead, link) ((((dead) & ~7) + ONE) | (link))
#ifdef BROKEN_TAKEN_FORGETS
#define TAKEN(dead) BUSY
#else
#define TAKEN(dead) (((dead) & ORPHAN) | BUSY)
#endif
#define LEFT(dead) ((dead) & ~BUSY)

#define ORPHAN_COUNT 128

/* The fields of a node. The root has no parent. */
byte state[NODES + 1];
byte head[NODES + 1];
byte dead[NODES + 1];
byte walkers[NODES + 1];
byte handles[NODES + 1];
byte parent[NODES + 1];
byte next[NODES + 1];
byte prev[NODES + 1];
byte reap_next[NODES + 1];

byte attached;               /* whose constructor has returned */
byte freed;
byte pinned;                 /* threads */
byte waits_for[NODES + 1];   /* the threads whose pins a deferred node waits for */
hidden byte i;

#ifdef REUSE
#define CAN_ALLOC (made < NODES || freed != 0)
#else
#define CAN_ALLOC (made < NODES)
#endif

inline alloc(at, above, count) {
#ifdef REUSE
    at = 1;
    do
    :: at <= made && !(freed & BIT(at)) -> at++
    :: else -> break
    od;
    if
    :: at > made -> made++
    :: else -> covers("an address that comes back"); freed = freed & ~BIT(at)
    fi;
#else
    made++;
    at = made;
#endif
    parent[at] = above;
    handles[at] = count
}

/* Any access to a node. */
inline touch(n) {
    v9_not_freed = n != 0 && !(freed & BIT(n));
    assert(v9_not_freed)
}

inline set_prev(link, newer) {
    if
    :: link != 0 -> touch(link); prev[link] = newer
    :: else
    fi
}

/* What is freed has no fields any more. */
inline free(n) {
    touch(n);
    check_free(n);
    freed = freed | BIT(n);
    attached = attached & ~BIT(n);
    returned = returned & ~BIT(n);
    parent[n] = 0;
    state[n] = 0; head[n] = 0; dead[n] = 0; walkers[n] = 0; handles[n] = 0;
    next[n] = 0; prev[n] = 0; reap_next[n] = 0
}

inline unpin(me) {
    pinned = pinned & ~BIT(me);
    for (i : 1 .. NODES) {
        if
        :: waits_for[i] & BIT(me) ->
            waits_for[i] = waits_for[i] & ~BIT(me);
            if
            :: waits_for[i] == 0 -> covers("a free put off"); free(i)
            :: else
            fi
        :: else
        fi
    }
}
