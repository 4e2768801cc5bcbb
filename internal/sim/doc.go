// Package sim plays code through faults in a simulated world, thousands of seeds
// in the time that a test on real processes takes for one fault.
//
// A world is a test. It builds what is under test, the shipped code, on hosts of
// a simulated network, lets it work while faults happen, and then checks what the package
// promises:
//
//	sim.Test(t, sim.World{
//		Seeds: 50,
//		Mix: sim.Mix{
//			Nodes: []string{"a", "b", "c"}, Kinds: []sim.Kind{sim.Cut, sim.Freeze, sim.Crash},
//			Max: 10, During: 20 * time.Second, Longest: 10 * time.Second,
//		},
//		Run: func(s *sim.Sim) {
//			… start servers on s.Net().Host("a").Listen(80), clients with DialContext
//			s.Handle(sim.Crash, func(f sim.Fault) (end func(), err error) { … })
//			go work(s.Dice("writer"))
//			s.Play()
//			if !s.Until(10*time.Second, agreed) {
//				s.Failf("10 s after the last fault they do not agree")
//			}
//			… close everything
//		},
//	})
//
// Each seed runs in a bubble of testing/synctest: time is virtual, and passes only while
// everybody waits. A world must therefore close all that it made. What waits
// indefinitely, and a goroutine that outlives Close, is found by the bubble and is a failure.
//
// # What a seed decides
//
// The faults, their times and targets; what the network does to each segment of
// each connection; and what a world draws from Dice. These replay exactly, on every machine.
//
// It does not decide what the code under test draws by itself (the jitter of
// back-offs, nonces), nor who runs first of goroutines that are ready at the
// same virtual nanosecond. The delays of the network differ by nanoseconds, so
// that this is seldom the case between nodes; within a node it may be. A seed whose failure hangs
// on that fails in some of its runs only. Shrinking therefore tries several times before it
// believes that fewer faults pass.
//
// scripts/replay decides that too: compiled for WASI, with one thread, a clock and random numbers of
// the seed, a run is the same to the byte, on every machine.
//
// # When a seed fails
//
// Test drops faults for as long as the seed still fails, and prints what is left
// as a time line, as a Case, and the history of the last run. Mend the code, and add the case to
// World.Known under a name that says what was wrong: it is run first from then on.
//
//	SIM_SEED=812 go test ./kv/ring -run TestSimulated -v   one seed, with all of its history
//	make replay PKG=./kv/ring SEED=812                     the same, and the same run every time
//	make sim SEEDS=100000                                  many seeds of all worlds
//
// Test prints the number of each seed that it begins on stderr. go test shows that only of a test that fails:
// the last number before a panic, or before the end of its patience, is that of the seed.
//
// # What a world can't wait for
//
// A goroutine that waits for a sync.Mutex does not wait as far as a bubble can see. Code that
// holds one while it waits for the network stops the clock for good, and the run hangs. Nor
// does such code heed the context of who waits for the mutex: let it hold a channel of one token instead.
//
// # Worlds
//
// README.md has the table: what each plays, its seeds in CI, how fast they are, and which seed finds the faults
// that scripts/plants puts into the code on purpose.
//
// # Limits
//
// Freeze is what a stopped process is to the others. Its own timers go on, because a
// bubble has one clock, so what code does when it finds that it was
// stopped is for tests with processes. For the same reason clocks run apart
// only where a world's model of a backend keeps time of its own. Connections are TCP as programs see it:
// in order, held up by loss and not changed by it. There is no UDP.
package sim
