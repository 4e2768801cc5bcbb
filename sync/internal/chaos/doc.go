// Package chaos holds the tests of package sync under faults: processes that
// are paused and killed, servers that are paused, killed and restarted, links
// that are held, cut and reset. What happened is checked by porcupine
// (https://github.com/anishathalye/porcupine), a checker of linearizability.
//
// Contenders, which are processes of their own, take a lock and increment two
// counters under it, by a read, some thinking, and a write. The counters live in
// the test: the naive one takes every write, the fenced one refuses tokens
// smaller than the largest seen. Three histories come of it:
//
//   - the naive counter must lose updates when a holder is paused: this is the
//     control that shows that the faults bite;
//   - the fenced counter must never lose one, on any backend, under any fault;
//   - the holders' beliefs, from the grant to the end of the lock's context, must
//     never overlap as long as no process is paused.
//
// The runs are a few seconds long with fixed seeds. CHAOS=10m in the
// environment makes each last ten minutes with a seed of its own, which is
// printed, or that of CHAOS_SEED.
package chaos
