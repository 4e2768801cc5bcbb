// Package platform runs a service in a few lines: it opens logging, tracing,
// metrics, health checks, discovery and the other packages with one identity,
// serves HTTP and gRPC, registers, and stops in order.
//
//	app, err := platform.New("greeter", platform.WithVersion("1.2.0"))
//	…
//	mux.HandleFunc("GET /hello/{name}", hello)
//	err = app.Run(ctx, platform.HTTP(":8080", mux))
//
// New opens the parts, each with its embedded default unless an option says
// otherwise, and gives them one identity and one logger:
//
//	platform.New("greeter",
//		platform.WithDiscovery(consul.Backend("127.0.0.1:8500")),
//		platform.WithKV(redis.Backend("redis://127.0.0.1:6379")))
//
// Nothing is hidden: every part can be taken out (App.KV, App.Wrapper …), and
// who composes package wrapper by hand gives up nothing but these lines.
//
// # Run
//
// Run listens on every address first, serves, and registers once the process is
// ready. When its context ends, or SIGINT or SIGTERM comes, it
//
//	says that the process drains → deregisters → waits for calls in progress →
//	stops the servers and the jobs → flushes and closes every part
//
// within WithStopTimeout. A second signal ends the process at once. Run returns
// nil if nothing was lost, and otherwise an error that says what was.
//
// What goes on beside the servers, such as what only a leader does, is a Job.
//
// # Operators' pages
//
// A server made by HTTP also answers /livez, /readyz, /startupz, /healthz,
// /statusz, /statsz and /metrics, except where its handler is a ServeMux that
// has a pattern of its own for the path. If Run is given Ops, these pages are
// there alone: do that where strangers reach the service.
//
// # Errors
//
// New returns ErrInvalid for options that can't be, and the first error of a
// part that can't be opened, after closing those before it. Run returns the
// error of an address that can't be listened on, of a registration that is
// refused (discovery.ErrExists if another process has the instance's id), of a
// server or job that fails or panics, whose stack is logged, and of what was lost at the end.
package platform
