/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The life of a channel: its two ends attach, detach and attach again, a server
 * dies and its standby goes on, all of it is revoked. Tied by function to
 * lib/channel/channel.c (C:), lib/channel/ring.c (R:), lib/io/block.c (B:),
 * lib/system/role_io.c (I:), lib/system/keeper_drain.c (K:),
 * lib/monitor/follow.c (M:) and lib/system/role_ultravisor.c (U:).
 *
 * Shown: states of an end follow the table, whoever writes them meanwhile; each
 * request is answered, by whoever lives, also when a server dies at any step;
 * after a server's MEDIUM no answer of an older epoch comes; what is revoked is
 * freed, whoever hangs; and nobody touches it after that.
 *
 * One server at a time takes requests one by one, so one slot of the takeover
 * region is used. Doorbells are left out: ring.pml has them. That an end has a
 * grace, or that a limit is over, can be at any time.
 *
 * scene takeover, ci: -DKILLS=1 -DREOPENS=1
 * scene revoke, ci: -DREVOKES=1 -DREOPENS=1 -DREQUESTS=1
 * scene both, long: -DKILLS=1 -DREVOKES=1 -DREOPENS=1
 * scene more, long: -DKILLS=1 -DREOPENS=2 -DREQUESTS=4
 *
 * witness 1 of takeover: the successor finds a request in the takeover region
 * witness 2 of takeover: a client hears an answer twice
 * witness 3 of takeover: a ring is full
 * witness 4 of revoke: an end is revoked while it attaches
 * witness 5 of revoke: a holder is killed because it does not let go
 * witness 6 of revoke: a release is heard of before the commit
 *
 * bug 1 of takeover, assertion: the standby does not wait for the fence
 * bug 2 of takeover, assertion: the standby is told before the epoch grows
 * bug 3 of takeover, end state: a request is released before it is recorded
 * bug 4 of takeover, end state: a slot is free before its answer shows
 * bug 5 of takeover, end state: a successor begins where the ring ends
 * bug 6 of takeover, end state: nobody drives again what was taken
 * bug 7 of revoke, assertion: a state is looked at, then stored
 * bug 8 of revoke, assertion: an end attaches whatever its state is
 * bug 9 of revoke, assertion: memory is freed when one end has let go
 * bug 10 of revoke, end state: who does not let go is waited for
 * bug 11 of revoke, assertion: a release before the commit is forgotten
 * bug 12 of takeover, end state: a death is written when its successor knows
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef WITNESS
#define WITNESS 0
#endif
#define witness(n) assert(WITNESS != n)

#ifndef KILLS
#define KILLS 0 /* of the server */
#endif
#ifndef REVOKES
#define REVOKES 0
#endif
#ifndef REOPENS
#define REOPENS 0 /* of the client's end */
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif
#define RECORDS 2 /* that a ring holds */

#define SERVER 0 /* ends */
#define CLIENT 1
#define ANSWERS  ring[SERVER] /* ring n is written by end n */
#define ASKED    ring[CLIENT]
#define MEDIUM 255

/* States of an end, in the order of the format. */
#define DETACHED  0
#define ATTACHING 2
#define ATTACHED  3
#define REVOKED   5

/* ---- the channel and the takeover region --------------------------------- */

byte epoch = 1;
byte state[2];
typedef Ring {
    byte record[RECORDS], epoch[RECORDS];
    byte tail, head
}
Ring ring[2];
byte taken; /* the request in the slot; 0: it is free */

/* ---- who there is -------------------------------------------------------- */

#define MONITOR 2 /* holders: two servers, and the monitor for the client */
bool lives[3], told_to_close[3], holds[3], heard[3];
bool mapped = true; /* to the guest */
bool fence;         /* somebody has it */
bool is_revoked;    /* as views say */
bool freed;
chan released = [3] of { byte };
chan committed = [1] of { bit };

/* C: ulv_end_may_become() */
#define MAY_BECOME(from, to)                                                   \
    ((to == ATTACHING && from != REVOKED) ||                                   \
     (to == ATTACHED && from == ATTACHING) ||                                  \
     (to == DETACHED && (from == ATTACHING || from == ATTACHED)))

/* An access to shared memory: by one that lives, to what is there. */
#define I_CAN (me == MONITOR -> mapped && lives[MONITOR] : lives[me])
#define touch() assert(!freed)

/* C: become(), one compare-exchange */
inline become(end, to, ret)
{
#if BUG == 7
    atomic { I_CAN -> touch(); ret = MAY_BECOME(state[end], to) };
    atomic { I_CAN -> touch();
             if
             :: ret -> assert(MAY_BECOME(state[end], to)); state[end] = to
             :: else
             fi }
#else
    atomic { I_CAN -> touch();
             ret = MAY_BECOME(state[end], to) || BUG == 8;
             if
             :: ret -> assert(MAY_BECOME(state[end], to)); state[end] = to
             :: else -> if
                        :: to == ATTACHED -> witness(4)
                        :: else
                        fi
             fi }
#endif
}

/* C: ulv_channel_attach(); R: the indices stand where they are found */
inline attach(end, ret)
{
    atomic { I_CAN -> touch(); my_epoch = epoch };
    become(end, ATTACHING, ret);
    if
    :: ret ->
        atomic { I_CAN -> touch(); tail = ring[end].tail };
        atomic { I_CAN -> touch();
                 head = (BUG == 5 && end == SERVER -> ring[1 - end].tail
                                                   : ring[1 - end].head) };
        become(end, ATTACHED, ret)
    :: else
    fi
}

/* R: ulv_ring_tx_reserve(), ulv_ring_tx_submit(): write, then store tail */
#define ROOM(end) (tail - ring[end].head < RECORDS)
inline put(end, what)
{
    atomic { I_CAN && ROOM(end) -> touch();
             ring[end].record[tail % RECORDS] = what;
             ring[end].epoch[tail % RECORDS] = my_epoch };
    atomic { I_CAN -> touch(); tail++; ring[end].tail = tail }
}

/* ---- a server ------------------------------------------------------------ */

#define CLOSE atomic { lives[me] && told_to_close[me] -> goto close }
#define DIE   atomic { !lives[me] -> goto dead }

proctype serving(byte me)
{
    byte my_epoch, tail, head, request;
    bool good;

end_fence: /* I: take_up() */
    if
    :: atomic { lives[me] && (!fence || BUG == 1) -> fence = true }
    :: CLOSE
    :: DIE
    fi;
    {
        attach(SERVER, good)
    } unless { !lives[me] };
    if
    :: atomic { lives[me] && !good -> goto wait_close }
    :: atomic { lives[me] && good }
    :: DIE
    fi;
    if /* B: say_medium() */
    :: atomic { lives[me] && ROOM(SERVER) }
    :: CLOSE
    :: DIE
    fi;
    { put(SERVER, MEDIUM) } unless { !lives[me] };
    if /* B: redrive_one() */
    :: atomic { lives[me] && taken != 0 && BUG != 6 ->
                witness(1); touch(); request = taken; goto answer }
    :: atomic { lives[me] && (taken == 0 || BUG == 6) }
    :: DIE
    fi;
end_ask:
    do
    :: atomic { lives[me] && ASKED.tail != head -> /* B: take_one() */
                touch(); request = ASKED.record[head % RECORDS] };
#if BUG == 3
        atomic { lives[me] -> touch(); head++; ASKED.head = head };
        atomic { lives[me] -> touch(); taken = request };
#else
        if
        :: atomic { lives[me] -> touch(); taken = request }
        :: DIE
        fi;
        if
        :: atomic { lives[me] -> touch(); head++; ASKED.head = head }
        :: DIE
        fi;
#endif
answer: /* B: send_waiting() */
#if BUG == 4
        atomic { lives[me] -> touch(); taken = 0 };
#endif
        if
        :: atomic { lives[me] && ROOM(SERVER) }
        :: atomic { lives[me] && !ROOM(SERVER) -> witness(3) };
           if
           :: atomic { lives[me] && ROOM(SERVER) }
           :: CLOSE
           :: DIE
           fi
        :: DIE
        fi;
        { put(SERVER, request) } unless { !lives[me] };
        if
        :: atomic { lives[me] -> touch(); taken = 0; request = 0 }
        :: DIE
        fi
    :: CLOSE
    :: DIE
    od;
wait_close: /* I: give_up(): it serves this channel no more */
end_wait:
    if
    :: CLOSE
    :: DIE
    fi;
close: /* I: close_channel() */
    { become(SERVER, DETACHED, good) } unless { !lives[me] };
    if
    :: atomic { lives[me] -> released!me }
    :: atomic { lives[me] -> skip } /* it hangs: it has it, and says nothing */
    :: DIE
    fi;
end_closed:
    !lives[me];
dead:
    skip
}

/* ---- a client ------------------------------------------------------------ */

proctype asking(byte me)
{
    byte my_epoch, tail, head, sent, known, was, what, answered;
    byte reopens = REOPENS;
    bool good;

begin:
    {
        attach(CLIENT, good)
    } unless { !I_CAN };
    if
    :: atomic { I_CAN && !good -> goto done }
    :: atomic { I_CAN && good }
    :: atomic { !I_CAN -> goto done }
    fi;
    do
    :: atomic { I_CAN && sent < REQUESTS && ROOM(CLIENT) -> sent++ };
        { put(CLIENT, sent) } unless { !I_CAN }
    :: atomic { I_CAN && ANSWERS.tail != head -> touch();
                what = ANSWERS.record[head % RECORDS];
                was = ANSWERS.epoch[head % RECORDS];
                if
                :: what == MEDIUM ->
                    assert(was > known && was <= epoch);
                    known = was
                :: else ->
                    assert(was == known); /* none of an older epoch */
                    assert(what != 0 && what <= sent);
                    if
                    :: answered & (1 << what) -> witness(2)
                    :: else
                    fi;
                    answered = answered | (1 << what)
                fi;
                was = 0; what = 0 };
        if
        :: atomic { I_CAN -> touch(); head++; ANSWERS.head = head }
        :: atomic { !I_CAN -> goto done }
        fi
    :: atomic { I_CAN && reopens > 0 -> reopens-- };
        { become(CLIENT, DETACHED, good) } unless { !I_CAN };
        goto begin
    :: atomic { I_CAN && is_revoked -> break } /* gives it up politely */
    :: atomic { !I_CAN -> goto done }
    :: atomic { answered == (2 << REQUESTS) - 2 -> goto done }
    od;
    { become(CLIENT, DETACHED, good) } unless { !I_CAN };
done:
    skip
}

/* M: follow_channel(), let_go_slot(): after a grace, or at once if the guest
 * detaches; or it hangs. */
proctype monitoring()
{
end:
    is_revoked;
    if
    :: atomic { lives[MONITOR] -> mapped = false };
       if
       :: atomic { lives[MONITOR] -> released!MONITOR }
       :: atomic { !lives[MONITOR] }
       fi
    :: skip
    fi
}

/* ---- who sets up, and takes away ----------------------------------------- */

/* What the ultravisor does, in the order in which it does it. */
proctype ultravisor()
{
    byte i;

    for (i : 0 .. 1) { /* C: ulv_channel_revoke() */
        atomic { assert(!freed); state[i] = REVOKED }
    }
    is_revoked = true; /* in the views, which show before anybody is told */
    committed!1
}

/* C: ulv_channel_end_died() */
inline write_death()
{
    atomic { touch();
             if
             :: MAY_BECOME(state[SERVER], DETACHED) -> state[SERVER] = DETACHED
             :: else
             fi }
}

proctype keeper()
{
    byte who, kills = KILLS;

end_idle:
    do
    :: atomic { kills > 0 && lives[0] -> /* it dies: pidfd, then REHOME */
                kills--;
                if
                :: BUG != 1 ->
                    lives[0] = false; holds[0] = false; fence = false
                :: BUG == 1 -> skip
                fi };
        if /* U: ulv_ultravisor_mark_dead(), then REHOME */
        :: BUG != 2 && BUG != 12 -> write_death(); epoch++; run serving(1)
        :: BUG == 2 -> run serving(1); epoch++
        :: BUG == 12 -> epoch++; run serving(1); write_death()
        fi
    :: atomic { released?who -> /* K: ulv_keeper_released(), too early */
                witness(6);
                heard[who] = true;
                if
                :: BUG != 11 -> holds[who] = false
                :: BUG == 11
                fi;
                who = 0 }
    :: committed?_ -> break
    od;
    for (who : 0 .. 1) { /* K: ask_holder() */
        told_to_close[who] = true
    }
    who = 0;
    do
    :: atomic { released?who -> holds[who] = false; who = 0 }
    :: atomic { who <= MONITOR && holds[who] && BUG != 10 -> /* the limit */
                witness(5);
                assert(!heard[who]);
                lives[who] = false; holds[who] = false; who = 0 }
    :: atomic { who < MONITOR && !holds[who] -> who++ }
    :: atomic { (!holds[0] && !holds[1] && !holds[MONITOR]) ||
                (BUG == 9 && !holds[MONITOR]) ->
                freed = true; break }
    od
}

init
{
    atomic { lives[0] = true; lives[1] = true; lives[MONITOR] = true;
             holds[0] = true; holds[1] = true; holds[MONITOR] = true;
             run serving(0);
             run asking(MONITOR);
             run monitoring();
             run keeper()
#if REVOKES > 0
             ;
             run ultravisor()
#endif
    }
}
