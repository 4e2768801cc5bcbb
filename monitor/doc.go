// Package monitor has health checks, probes for orchestrators, statistics of a
// process, and a view of the health of all instances of all services.
//
//	mo, err := monitor.New(monitor.WithService("orders"))
//	mo.Register(monitor.Check{Name: "database", Func: db.PingContext})
//	http.Handle("/", mo.Handler()) // /livez /readyz /startupz /healthz /statusz /statsz
//
// Checks run in the background; a probe only reads what is known. What a
// failure means:
//
//	/livez     fails: this process is stuck, restart it. Only the beats of Liveness decide.
//	/readyz    fails: send it no work. Critical checks, startup checks and the phase decide.
//	/startupz  fails: it has not come up yet. Startup checks decide; passed once is passed.
//
// A check that fails softly (Severity Soft, or an error made by Degraded)
// makes the state warn: the process works with less, and probes pass.
//
// # Backends
//
// Without one, the cluster is this process alone. With one, every instance
// publishes its status and stats and follows those of all others:
// Memory shares reports between monitors of one process, monitor/kv uses
// any kv.KV, monitor/event any event.Stream.
//
// # Semantics
//
// A check that hangs holds one goroutine. It counts as failed at its timeout,
// and as failed once more at each Interval until it returns, so it fails its
// probe after FailAfter intervals at most. A result that is older than it should
// be, as after a suspended process, is stale: its state is unknown, which is a
// failure of a critical check that has never passed and a warning otherwise.
//
// The view of a service compares what instances report with whom discovery
// knows (WithExpected). An instance whose reports ended without a word is
// lost, one that said goodbye is stopped. An observer that hears fewer
// instances than the service needs may be the one that is cut off, and says
// unknown. Ages are measured on this process's monotonic clock, so clocks of
// other machines don't matter.
//
// If at least the share FailOpen of a service's instances fail a check of the
// same Dependency, the check only warns: taking all of them out of service
// would help nobody.
//
// # Errors
//
// ErrInvalid, ErrExists, ErrUnavailable and ErrClosed. A backend that is
// unavailable never fails a probe; it makes the cluster's verdict unknown.
//
// # Closing
//
// Close publishes the phase Stopped, as far as its context allows, and waits
// for running checks.
package monitor
