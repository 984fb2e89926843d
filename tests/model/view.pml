/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Views: one publisher, a monitor and another reader of a chain; publisher and
 * monitor die and others take their place. Tied to lib/view/publish.c (P:),
 * lib/view/read.c (R:) and lib/system/views.c (S:) by function.
 *
 * Shown: a reader that was not told AGAIN has the records of one generation,
 * all of them, and none of a transaction that was given up; generations never
 * go back; AGAIN comes only when the publisher is COPIES generations further
 * on, and to a monitor never.
 *
 * Memory is weaker here than x86's: stores that no fence or release orders
 * are done in any order, and so are loads that no acquire orders. A page has
 * two words of records; the checksum, a second line of defence, is left out.
 * Who dies stands still for ever: readers write nothing, so of them only the
 * monitor, whose acknowledgements stop, is seen to die. Where nobody monitors,
 * the publisher acknowledges for itself, as for a guest that does not run.
 *
 * Where it matters to nobody when in the copying of a page, or in its writing,
 * something happens (no page is reused, or reuse is the error), these are one
 * step: -DCOARSE.
 *
 * scene reader, ci: -DREADERS=1 -DPAGES=7 -DCOMMITS=4
 * scene copies, ci: -DCOARSE -DREADERS=1 -DCOPIES=3 -DPAGES=9 -DCOMMITS=4
 * scene monitor, ci: -DCOARSE -DMONITORS=2 -DPAGES=6 -DCOMMITS=3
 * scene restart, ci: -DCOARSE -DREADERS=1 -DCHAINS=2 -DPAGES=6 -DCOMMITS=2
 * scene fine, long: -DREADERS=1 -DCHAINS=2 -DPAGES=6 -DCOMMITS=2
 * scene slow, long: -DCOARSE -DMONITORS=2 -DPAGES=7 -DCOMMITS=4
 * scene three, long: -DREADERS=1 -DCOPIES=3 -DPAGES=10 -DCOMMITS=5
 * scene all, long: -DCOARSE -DREADERS=1 -DMONITORS=2 -DCHAINS=2 -DPAGES=6
 *
 * witness 1 of reader: the publisher laps a reader in the middle of a page
 * witness 2 of reader: a page that was used again is read as what it is now
 * witness 3 of monitor: the segment is full, because the monitor is slow
 * witness 4 of monitor: a monitor that was started again reads all
 * witness 5 of restart: a reader is in the old chain after the new one began
 *
 * bug 1 of reader, assertion: a page's words may be stored before it is cleared
 * bug 2 of reader, assertion: the root word may be stored before the directory
 * bug 3 of reader, assertion: the second look at the generation may come first
 * bug 4 of reader, assertion: the generation is not cleared before the words
 * bug 5 of copies, assertion: a page is used again whatever its age
 * bug 6 of reader, assertion: a reader believes a page of any generation
 * bug 7 of reader, assertion: half of what was given up stays listed
 * bug 8 of monitor, assertion: pages of the acknowledged generation are used
 * bug 9 of monitor, assertion: pages that nobody acknowledged are used
 * bug 10 of monitor, assertion: a monitor starts before its start is committed
 * bug 11 of restart, assertion: a new publisher goes on in the old chain
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef WITNESS
#define WITNESS 0
#endif
#define witness(n) assert(WITNESS != n)

#ifndef READERS
#define READERS 0
#endif
#ifndef MONITORS
#define MONITORS 0 /* 2: one, and its successor */
#endif
#ifndef CHAINS
#define CHAINS 1 /* one for each publisher */
#endif
#ifndef COPIES
#define COPIES 2 /* ULV_VIEW_COPIES */
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#define ATTEMPTS (COMMITS + 1) /* one transaction is given up */
#define SECTIONS 2
#define NEWEST   255 /* P: last_used, UINT64_MAX */

typedef Page {
    byte generation;
    byte word[SECTIONS] /* records, or a directory's entries */
}
typedef Chain {
    Page page[PAGES + 1]; /* from 1: page 0 is the root page */
    byte root;            /* the root word, its two halves: one store */
    byte directory
}
Chain chain[CHAINS];
byte handed;    /* the newest chain that readers were given */
byte publisher; /* the processes that live */
byte monitor;
byte watcher;
mtype = { FOLLOWS, DEAD, STARTS };
mtype monitor_is; /* as the database says */
chan acknowledged_by = [1] of { byte, byte }; /* chain, generation */

/* What readers must see; nobody in the real world has it. */
typedef Truth {
    byte mark[SECTIONS]; /* of the newest generation */
    byte preparing       /* the generation that is being written */
}
Truth truth[CHAINS];

#define ENTRY(p, g)         (((g) << 4) + (p))
#define ENTRY_PAGE(w)       ((w) & 15)
#define ENTRY_GENERATION(w) ((w) >> 4)

/* ---- the publisher ------------------------------------------------------- */

#define MINE (_pid == publisher)
#define HERE chain[e].page

/* P: page_is_free() */
#define IS_FREE(i)                                                             \
    (last_used[i] != NEWEST &&                                                 \
     (last_used[i] == 0 ||                                                     \
      ((BUG == 5 || last_used[i] + COPIES <= generation + 1) &&                \
       (BUG == 9 || last_used[i] < acknowledged ||                            \
        (BUG == 8 && last_used[i] == acknowledged)))))

/* P: take_page(); 0: none */
inline take_page(to)
{
    to = 0;
    i = 1;
    do
    :: i <= PAGES && IS_FREE(i) -> to = i; last_used[i] = NEWEST; break
    :: i <= PAGES && !IS_FREE(i) -> i++
    :: i > PAGES -> break
    od;
    i = 0
}

/*
 * P: write_page(), a step a store: 1 clears the generation; 2 and 4 are the
 * words, after the release fence V2; 8 is the generation, V1, a release.
 */
#define CLEARED (BUG == 1 || !(steps & 1))
inline write_page(to, first, second)
{
#ifdef COARSE
    if
    :: atomic { MINE -> HERE[to].word[0] = first; HERE[to].word[1] = second;
                HERE[to].generation = generation + 1 }
    :: atomic { !MINE -> goto dead }
    fi
#else
    atomic { steps = (BUG == 4 -> 14 : 15) }
    do
    :: atomic { MINE && (steps & 1) ->
                HERE[to].generation = 0; steps = steps - 1 }
    :: atomic { MINE && (steps & 2) && CLEARED ->
                HERE[to].word[0] = first; steps = steps - 2 }
    :: atomic { MINE && (steps & 4) && CLEARED ->
                HERE[to].word[1] = second; steps = steps - 4 }
    :: atomic { MINE && steps == 8 ->
                HERE[to].generation = generation + 1; steps = steps - 8 }
    :: atomic { steps == 0 -> break }
    :: atomic { !MINE -> goto dead }
    od
#endif
}

/* P: the store of the root word in ulv_view_publish(), V0, a release. */
inline store_root()
{
    chain[e].root = generation + 1;
    chain[e].directory = next_directory;
    truth[e].mark[0] = mark;
    truth[e].mark[1] = (both -> mark : truth[e].mark[1])
}

/* P: drop_prepared() */
inline drop_prepared()
{
    for (i : 0 .. SECTIONS - 1) {
        if
        :: next[i] != 0 && ENTRY_GENERATION(next[i]) > generation ->
            last_used[ENTRY_PAGE(next[i])] = 0
        :: else
        fi;
        next[i] = 0
    }
    if
    :: next_directory != 0 -> last_used[next_directory] = 0
    :: else
    fi;
    next_directory = 0;
    both = false;
    i = 0
}

/* P: the books of ulv_view_publish() */
inline keep_books()
{
    for (i : 0 .. SECTIONS - 1) {
        if
        :: entry[i] != 0 -> last_used[ENTRY_PAGE(entry[i])] = generation
        :: else
        fi
    }
    if
    :: directory != 0 -> last_used[directory] = generation
    :: else
    fi;
    for (i : 0 .. SECTIONS - 1) {
        last_used[ENTRY_PAGE(next[i])] = NEWEST;
        entry[i] = next[i];
        next[i] = 0
    }
    directory = next_directory;
    last_used[directory] = NEWEST;
    next_directory = 0;
    generation++;
    both = false;
    i = 0
}

/* P: ulv_view_acknowledge() */
inline acknowledge(g)
{
    if
    :: g <= generation && g > acknowledged -> acknowledged = g
    :: else
    fi
}

/* One transaction at a time; S: ulv_views_prepare(), ulv_views_publish(). */
proctype publishing(byte e; byte mark)
{
    byte generation, acknowledged, last_used[PAGES + 1];
    byte entry[SECTIONS], next[SECTIONS], directory, next_directory;
    bool both; /* sections change, or only the first */
    byte i, steps, said, left = ATTEMPTS;

begin:
end:
    do
    :: atomic { MINE && acknowledged_by?[eval(e), said] ->
                acknowledged_by?eval(e), said; acknowledge(said); said = 0 }
    :: atomic { MINE && left > 0 && generation < COMMITS ->
                left--;
                mark++;
                truth[e].preparing = generation + 1;
                if
                :: both = true
                :: generation > 0 -> next[1] = entry[1] /* P: find_same() */
                fi;
                take_page(next[0]);
                if
                :: next[0] == 0 -> goto no_room
                :: else
                fi;
                next[0] = ENTRY(next[0], generation + 1) };
        write_page(ENTRY_PAGE(next[0]), mark, mark);
        if
        :: both ->
            atomic { take_page(next[1]);
                     if
                     :: next[1] == 0 -> goto no_room
                     :: else
                     fi;
                     next[1] = ENTRY(next[1], generation + 1) }
            write_page(ENTRY_PAGE(next[1]), mark, mark)
        :: else
        fi;
        atomic { take_page(next_directory);
                 if
                 :: next_directory == 0 -> goto no_room
                 :: else
                 fi };
#if BUG == 2
        if
        :: atomic { MINE -> store_root() }
        :: skip
        fi;
#endif
        write_page(next_directory, next[0], next[1]);
        if
        :: atomic { MINE && left >= COMMITS - generation ->
                    /* S: forget_prepared(); P: drop_prepared(), next time */
#if BUG == 7
                    entry[1] = next[1]; next[1] = 0;
#endif
                    drop_prepared() }
        :: atomic { MINE ->
                    store_root();
                    keep_books();
                    if /* S: has_no_reader() */
                    :: monitor_is == DEAD -> acknowledge(generation)
                    :: else
                    fi;
                    if
                    :: monitor_is == STARTS -> monitor_is = FOLLOWS
                    :: else
                    fi }
        :: atomic { !MINE -> goto dead }
        fi
    :: atomic { !MINE -> goto dead }
    od;
no_room: /* LIMIT: nothing is changed */
    atomic { witness(3); drop_prepared(); goto begin };
dead:
    skip
}

/* ---- the readers --------------------------------------------------------- */

#define READS (_pid == monitor || _pid == watcher)
#define THERE chain[mine].page
#define IS_MONITOR (_pid != watcher)

/*
 * R: copy_page(), a step a load: 1 is the first look at the generation, V1, an
 * acquire; 2 and 4 are the words; 8 is the second look, after the acquire fence
 * V2. lapped: AGAIN.
 */
inline copy_page(from, wanted)
{
#ifdef COARSE
    if
    :: atomic { READS -> lapped = THERE[from].generation != wanted && BUG != 6;
                copy[0] = THERE[from].word[0]; copy[1] = THERE[from].word[1] }
    :: atomic { !READS -> goto dead }
    fi
#else
    atomic { steps = 15 }
    do
    :: atomic { READS && (steps & 1) ->
                lapped = THERE[from].generation != wanted && BUG != 6;
                steps = (lapped -> 0 : steps - 1) }
    :: atomic { READS && (steps & 3) == 2 ->
                copy[0] = THERE[from].word[0]; steps = steps - 2 }
    :: atomic { READS && (steps & 5) == 4 ->
                copy[1] = THERE[from].word[1]; steps = steps - 4 }
    :: atomic { READS && (steps == 8 || (BUG == 3 && (steps & 9) == 8)) ->
                lapped = THERE[from].generation != wanted && BUG != 6;
                if
                :: lapped && !IS_MONITOR -> witness(1)
                :: else
                fi;
                steps = (lapped -> 0 : steps - 8) }
    :: atomic { steps == 0 -> break }
    :: atomic { !READS -> goto dead }
    od
#endif
}

proctype reading()
{
    byte mine = handed, last; /* chain, and the newest generation seen in it */
    byte generation, directory, copy[SECTIONS], entry[SECTIONS];
    byte due[SECTIONS], s, steps;
    bool lapped;

end:
    do
    :: atomic { READS && mine < handed -> /* another chain was handed over */
                mine = handed; last = 0 }
    :: atomic { READS && chain[mine].root != 0 ->
                /* R: ulv_view_refresh(), V0, an acquire */
                generation = chain[mine].root;
                directory = chain[mine].directory;
                due[0] = truth[mine].mark[0];
                due[1] = truth[mine].mark[1];
                assert(generation >= last);
                last = generation;
                if
                :: mine < handed -> witness(5)
                :: else
                fi }
        copy_page(directory, generation); /* R: find_entry() */
        atomic { if
                 :: lapped -> goto again
                 :: else
                 fi;
                 entry[0] = copy[0]; entry[1] = copy[1] };
        do
        :: atomic { s < SECTIONS };
            copy_page(ENTRY_PAGE(entry[s]), ENTRY_GENERATION(entry[s]));
            atomic { if
                     :: lapped -> goto again
                     :: else
                     fi;
                     assert(copy[0] == due[s] && copy[1] == due[s]);
                     if
                     :: generation > COPIES + 1 -> witness(2)
                     :: else
                     fi;
                     s++ }
        :: atomic { s == SECTIONS -> break }
        od;
        atomic { if
                 :: IS_MONITOR && READS ->
                     if
                     :: _pid > watcher + 1 -> witness(4)
                     :: else
                     fi;
                     /* by way of the keeper; or a later one will do */
                     if
                     :: nfull(acknowledged_by) ->
                         acknowledged_by!mine, generation
                     :: full(acknowledged_by)
                     fi
                 :: else
                 fi;
                 goto forget };
again:
        atomic { assert(!IS_MONITOR);
                 assert(truth[mine].preparing >= generation + COPIES) };
forget: /* what is not looked at again, so that states are the same */
        atomic { generation = 0; directory = 0; lapped = false; s = 0;
                 copy[0] = 0; copy[1] = 0; entry[0] = 0; entry[1] = 0;
                 due[0] = 0; due[1] = 0 }
    :: atomic { !READS -> goto dead }
    od;
dead:
    skip
}

/* Sees who dies, and starts others. */
init
{
    byte monitors = MONITORS, chains = CHAINS - 1;

    atomic { publisher = run publishing(0, 0);
             monitor_is = DEAD;
#if READERS == 1
             watcher = run reading();
#endif
#if MONITORS > 0
             monitor_is = FOLLOWS;
             monitor = run reading()
#endif
    };
end:
    do
    :: atomic { monitors > 1 && monitor_is == FOLLOWS ->
                monitors--; monitor = 0; monitor_is = DEAD }
    :: atomic { MONITORS > 1 && monitor_is == DEAD -> monitor_is = STARTS }
    :: atomic { MONITORS > 1 && monitor == 0 && monitors == 1 &&
                (monitor_is == FOLLOWS || BUG == 10) ->
                monitor = run reading() }
    :: atomic { chains > 0 -> /* its process is dead: another one */
                chains--;
#if BUG == 11
                publisher = run publishing(0, 64)
#else
                publisher = run publishing(CHAINS - 1 - chains, 64);
                handed++
#endif
              }
    od
}
