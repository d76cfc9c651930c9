/*
 * beacon.h - proof that the pressure thread has looked
 *
 * That somebody is not told can only be seen once the thread has been there and gone.  The beacon is a manager that
 * joined before those under test; a pass visits the latest first, so when the beacon is told of a level that
 * was forced on it, the others have been visited.  Twice, since the first pass may have begun before.
 */
#ifndef BEACON_H
#define BEACON_H

/* The operating system is the fake one, reset, its clock stopped; no manager may have joined yet. */
void beacon_light(void);

/* The thread has made a whole pass since this was called, with all that was there when it was called. */
void beacon_settle(void);

/* Time passes, and the thread has seen it. */
void beacon_let_pass(unsigned milliseconds);

/* Nothing is left of all managers. */
void beacon_put_out(void);

#endif
