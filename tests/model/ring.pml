/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One ring: a producer and a consumer that sleep and wake one another by
 * doorbells which are rung only where they are asked for; either may die, and a
 * successor goes on. Tied to lib/channel/ring.c and ring_fast.h by function,
 * and to doc/formats/channel.md.
 *
 * Shown: the consumer reads what was written, in order, and nothing twice but
 * after a death; nobody sleeps for ever while there is something for him; no
 * doorbell is rung that was not asked for, so none while both are busy.
 *
 * Memory is that of x86: the stores of a side go through a buffer that drains
 * in order, some time; loads go past it, as neither side loads what it stores;
 * a full fence waits until it is empty. What a compiler could reorder is a
 * bug of its own. Who dies has its buffer drained. A record is one unit long
 * and says its number; sizes and padding are left to the tests of ring.c.
 * Indices begin at 0 and do not overflow.
 *
 * scene sleep, ci: -DRECORDS=3 -DROOM=2
 * scene death, ci: -DRECORDS=2 -DROOM=1 -DDEATHS=1 -DPLAIN
 * scene more, long: -DRECORDS=5 -DROOM=3 -DBUFFER=4
 * scene deaths, long: -DRECORDS=3 -DROOM=2 -DDEATHS=2 -DPLAIN
 *
 * witness 1 of sleep: the producer sleeps
 * witness 2 of sleep: the consumer sleeps
 * witness 3 of sleep: a doorbell wakes somebody for nothing
 * witness 4 of sleep: all goes through and nobody is rung
 * witness 5 of death: a consumer's successor reads a record again
 *
 * bug 1 of sleep, end state: submit looks without a fence
 * bug 2 of sleep, end state: release looks without a fence
 * bug 3 of sleep, end state: the consumer looks again without a fence
 * bug 4 of sleep, end state: the producer looks again without a fence
 * bug 5 of sleep, end state: who asked for a doorbell does not look again
 * bug 6 of sleep, end state: what publish overlooks counts as looked at
 * bug 7 of sleep, end state: publish rings without looking behind a fence
 * bug 8 of sleep, end state: a producer that published sleeps without submit
 * bug 9 of sleep, end state: a consumer that keeps records sleeps on them
 * bug 10 of sleep, assertion: a record is given back before it is read
 * bug 11 of sleep, assertion: tail is stored before the record
 * bug 12 of sleep, assertion: one more record is written than there is room for
 * bug 13 of sleep, assertion: a doorbell is rung for every record
 * bug 14 of death, end state: a successor does not ring
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef WITNESS
#define WITNESS 0
#endif
#define witness(n) assert(WITNESS != n)

#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef BUFFER
#define BUFFER 3 /* stores on their way */
#endif
#ifdef PLAIN
#define FAST false /* neither publish nor records that are kept */
#else
#define FAST true
#endif

#define PRODUCER 0
#define CONSUMER 1

/* ---- memory -------------------------------------------------------------- */

#define TAIL     ROOM /* addresses: behind the records' */
#define SPACE_AT (ROOM + 1)
#define HEAD     (ROOM + 2)
#define DATA_AT  (ROOM + 3)
byte memory[ROOM + 4];
chan buffer[2] = [BUFFER] of { byte, byte };

#define store(address, value) buffer[me]!address, value
#define fence()               empty(buffer[me])

proctype draining(byte me)
{
    byte address, value;

end:
    do
    :: atomic { buffer[me]?address, value ->
                memory[address] = value; address = 0; value = 0 }
    od
}

/* ---- doorbells ----------------------------------------------------------- */

bool bell[2];     /* who is to wake: an eventfd */
byte owed[2];     /* doorbells asked for that were not rung */
byte rung;
byte life[2];     /* of the process that lives, counted */

#define REACHED(at, from, to) ((from) < (at) && (at) <= (to))

/* ulv_wire_ring() */
inline ring(who)
{
    assert(owed[who] > 0);
    owed[who]--;
    rung = 1;
    bell[who] = true
}

/* ---- the producer -------------------------------------------------------- */

/* ulv_ring_tx_submit() */
inline submit()
{
    if
    :: atomic { reserved == looked }
    :: atomic { else -> store(TAIL, reserved) };
        if
        :: BUG != 1 -> fence()
        :: BUG == 1
        fi;
        atomic { if
                 :: REACHED(memory[DATA_AT], looked, reserved) || BUG == 13 ->
                     ring(CONSUMER)
                 :: else
                 fi;
                 looked = reserved }
    fi
}

/* ulv_ring_tx_publish() */
inline publish()
{
    atomic { store(TAIL, reserved) };
    if
    :: atomic { REACHED(memory[DATA_AT], looked, reserved) && BUG != 7 };
        submit()
    :: atomic { REACHED(memory[DATA_AT], looked, reserved) && BUG == 7 ->
                ring(CONSUMER); looked = reserved }
    :: atomic { !REACHED(memory[DATA_AT], looked, reserved) ->
                looked = (BUG == 6 -> reserved : looked) }
    fi
}

#define FITS (reserved + 1 - head_seen <= (BUG == 12 -> ROOM + 1 : ROOM))

proctype producing(byte mine)
{
    byte me = PRODUCER, reserved, looked, head_seen;

    {
        /* ulv_ring_tx_init(); a successor rings once */
        atomic { reserved = memory[TAIL]; looked = reserved };
        atomic { head_seen = memory[HEAD];
                 bell[CONSUMER] = bell[CONSUMER] || (mine > 0 && BUG != 14) };
        do
        :: atomic { reserved < RECORDS && FITS ->
                    /* ulv_ring_tx_reserve(), and the record is written */
                    if
                    :: BUG != 11 -> store(reserved % ROOM, reserved + 1)
                    :: BUG == 11 -> store(TAIL, reserved + 1)
                    fi };
            if
            :: BUG == 11 -> store(reserved % ROOM, reserved + 1)
            :: BUG != 11
            fi;
            reserved++;
            if
            :: submit()
            :: FAST -> publish()
            :: FAST /* a batch */
            fi
        :: atomic { reserved < RECORDS && !FITS ->
                    head_seen = memory[HEAD]; /* has_room() */
                    if
                    :: FITS -> goto again
                    :: else
                    fi };
            if
            :: BUG != 8 -> submit()
            :: BUG == 8 && FAST
            fi;
            /* ulv_ring_tx_wait() */
            atomic { head_seen = memory[HEAD];
                     if
                     :: FITS -> goto again
                     :: else
                     fi };
            atomic { store(SPACE_AT, reserved + 1 - ROOM);
                     owed[PRODUCER]++ };
            if
            :: BUG != 4 -> fence()
            :: BUG == 4
            fi;
            atomic { if
                     :: BUG != 5 -> head_seen = memory[HEAD]
                     :: BUG == 5
                     fi;
                     if
                     :: FITS -> store(SPACE_AT, 0); goto again
                     :: else -> witness(1)
                     fi };
            atomic { bell[PRODUCER] -> bell[PRODUCER] = false };
again:
            skip
        :: atomic { reserved == RECORDS -> break }
        od;
        submit()
    } unless { life[me] != mine }
}

/* ---- the consumer -------------------------------------------------------- */

/* ulv_ring_rx_release() */
inline release()
{
    if
    :: atomic { cursor == looked }
    :: atomic { else -> store(HEAD, cursor) };
        if
        :: BUG != 2 -> fence()
        :: BUG == 2
        fi;
        atomic { if
                 :: REACHED(memory[SPACE_AT], looked, cursor) -> ring(PRODUCER)
                 :: else
                 fi;
                 looked = cursor }
    fi
}

proctype consuming(byte mine)
{
    byte me = CONSUMER, cursor, looked, tail_seen;

    {
        /* ulv_ring_rx_init(); a successor rings once */
        atomic { cursor = memory[HEAD]; looked = cursor };
        atomic { tail_seen = memory[TAIL];
                 bell[PRODUCER] = bell[PRODUCER] || (mine > 0 && BUG != 14) };
        do
        :: atomic { tail_seen != cursor && BUG == 10 };
            cursor++;
            release();
            atomic { assert(memory[(cursor - 1) % ROOM] == cursor) }
        :: atomic { tail_seen != cursor && BUG != 10 ->
                    /* ulv_ring_rx_peek(); and the record is read */
                    assert(memory[cursor % ROOM] == cursor + 1);
                    cursor++ };
            if
            :: release()
            :: FAST /* kept, or passed */
            fi
        :: atomic { cursor < RECORDS && tail_seen == cursor ->
                    tail_seen = memory[TAIL]; /* has_data() */
                    if
                    :: tail_seen != cursor -> goto again
                    :: else
                    fi };
            if
            :: BUG != 9 -> release()
            :: BUG == 9
            fi;
            /* ulv_ring_rx_wait() */
            atomic { tail_seen = memory[TAIL];
                     if
                     :: tail_seen != cursor -> goto again
                     :: else
                     fi };
            atomic { store(DATA_AT, tail_seen + 1);
                     owed[CONSUMER]++ };
            if
            :: BUG != 3 -> fence()
            :: BUG == 3
            fi;
            atomic { if
                     :: BUG != 5 -> tail_seen = memory[TAIL]
                     :: BUG == 5
                     fi;
                     if
                     :: tail_seen != cursor -> store(DATA_AT, 0); goto again
                     :: else -> witness(2)
                     fi };
            atomic { bell[CONSUMER] -> bell[CONSUMER] = false;
                     if
                     :: memory[TAIL] == tail_seen -> witness(3)
                     :: else
                     fi };
again:
            skip
        :: atomic { cursor == RECORDS -> break }
        od;
        release();
        atomic { if
                 :: rung == 0 -> witness(4)
                 :: else
                 fi }
    } unless { life[me] != mine }
}

/* Sees who is dead, and starts a successor. */
init
{
    byte deaths = DEATHS;

    atomic { run draining(PRODUCER); run draining(CONSUMER);
             run producing(0); run consuming(0) }
end:
    do
    :: atomic { deaths > 0 -> deaths--; life[PRODUCER]++ };
        atomic { empty(buffer[PRODUCER]) -> run producing(life[PRODUCER]) }
    :: atomic { deaths > 0 -> deaths--; life[CONSUMER]++;
                if
                :: memory[HEAD] < memory[TAIL] -> witness(5)
                :: else
                fi };
        atomic { empty(buffer[CONSUMER]) -> run consuming(life[CONSUMER]) }
    od
}
