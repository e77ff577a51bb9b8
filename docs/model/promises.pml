/*
 * What must hold. Each is asserted where it could break first, over variables
 * that are no part of the state; pan names the one that fails.
 */

hidden byte v1_said_once;
hidden byte v3_marked;
hidden byte v4_parent_first;
hidden byte v5_born_done;
hidden byte v9_not_freed;
hidden byte v9_no_leak;
hidden byte s3_named_lives;
hidden byte t3_settled;
hidden byte j, k;

/* Whether somebody can ask `n`: made to the end, and held. */
#define IS_HELD(n) ((attached & BIT(n)) && handles[n] > 0 && handles[n] < ORPHAN_COUNT)

/* Everybody below `n` who can be asked is done. */
inline all_below(n, holds) {
    holds = true;
    for (j : 1 .. NODES) {
        if
        :: IS_HELD(j) && state[j] == LIVE ->
            k = parent[j];
            do
            :: k == 0 -> break
            :: k == n -> holds = false; break
            :: else -> k = parent[k]
            od
        :: else
        fi
    }
}

/* V3, T4: a cancel of `n` returns, whoever won. It holds more than is promised:
 * those are done as well that were attached meanwhile. */
inline check_cancel(n) {
    all_below(n, v3_marked);
    v3_marked = v3_marked && state[n] != LIVE;
    returned = returned | BIT(n);
    assert(v3_marked)
}

/* V5: a constructor returns. Below a cancel that has returned, it is done; the
 * other order is V3 above. */
inline check_attach(n) {
    v5_born_done = true;
    k = parent[n];
    do
    :: k == 0 -> break
    :: else ->
        v5_born_done = v5_born_done && (!(returned & BIT(k)) || state[n] != LIVE);
        k = parent[k]
    od;
    assert(v5_born_done)
}

/* V4, T2: `n` is marked as its parent is. */
inline check_mark(n, from) {
    v4_parent_first = state[parent[n]] != LIVE && FROM(state[parent[n]]) == from;
    assert(v4_parent_first)
}

/* T3: SETTLED is written. S1: over the very same word. */
inline check_settle(n, from) {
    v1_said_once = FROM(state[n]) == from;
    assert(v1_said_once);
    all_below(n, t3_settled);
    assert(t3_settled)
}

/* S3: who has a handle finds what the word names. */
inline check_free(n) {
    s3_named_lives = true;
    for (j : 1 .. NODES) {
        s3_named_lives = s3_named_lives && !(j != n && IS_HELD(j) && FROM(state[j]) == n)
    }
    assert(s3_named_lives)
}

byte returned;     /* nodes of which a cancel has returned */
