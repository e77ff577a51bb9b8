/* A tree of any size and shape, and what each thread has a handle to. */

byte has[THREADS];

/* One more node, newest first in its lane; below the node that the last one is
 * below, or a later one. That makes each shape once. */
inline grow() {
    select(under : (parent[made] == 0 -> 1 : parent[made]) .. made);
    alloc(n, under, 0);
    next[n] = LINK(head[under]);
    head[under] = n | PARENT
}

inline give(n, to) {
    has[to] = has[to] | BIT(n);
    handles[n]++
}

init {
    byte n, under, t, known, extra;

    atomic {
        alloc(n, 0, 0);
        do
        :: made < NODES -> grow()
        :: true -> break
        od;
        under = 0;
#ifdef COVER
        c_code {
            static char met[4 * 4 * 4 * 4];
            int shape = 0, node;
            for (node = 2; node <= now.made; node++)
                shape = shape * 4 + now.parent[node];
            if (!met[shape]++) printf("covered: tree of %d, %d\n", now.made, shape);
        };
#endif
        attached = BIT(made + 1) - 2;
        for (n : 1 .. made) {
            /* Threads are alike: the next new one has the next number. */
            select(t : 0 .. (known < THREADS -> known : THREADS - 1));
            if
            :: t == known -> known++
            :: else
            fi;
            give(n, t)
        }
        known = 0;
#if EXTRA > 0
        for (extra : 1 .. EXTRA) {
            select(n : 1 .. made);
            select(t : 0 .. THREADS - 1);
            if
            :: has[t] & BIT(n)
            :: else -> give(n, t)
            fi
        }
        extra = 0;
#endif
        n = 0;
        for (t : 0 .. THREADS - 1) { run thread(t, has[t]);
            if
            :: has[t] == 0 -> ended++
            :: else
            fi;
            has[t] = 0
        }
        t = 0
    };
    ended == THREADS;
    /* Each node is freed, once nobody has a handle, unless a thread was stopped:
     * what it does then is up to reclamation. */
    v9_no_leak = stops > 0 || freed == BIT(made + 1) - 2;
    assert(v9_no_leak)
}
