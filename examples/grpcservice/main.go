// Command grpcservice puts the stack around a gRPC service that exists already, and calls it by
// its name: here gRPC's health service, which tells what a monitor knows.
//
//	go run ./examples/grpcservice
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// snippet: server
// serve starts an instance and returns what stops it: first callers hear of it, then calls in
// progress end, then the server does.
func serve(ctx context.Context, d discovery.Discovery, known *auth.Authority, mt metrics.Metrics) (stop func(context.Context) error, err error) {
	lg, err1 := log.New(log.WithContext(trace.ContextAttrs))
	tr, err2 := trace.New(trace.WithService("greeter")) // or zipkin.Backend, otlp.Backend
	mo, err3 := monitor.New(monitor.WithService("greeter"))
	few, err4 := limits.Concurrency(1000)
	au, err5 := auth.New(auth.Local(known), auth.WithService("greeter"), auth.WithRules( // or auth/oauth2
		auth.Rule{ID: "shop", Effect: auth.Allow, Subjects: []string{"shop"}, Services: []string{"greeter"}, Actions: []string{"/grpc.health.v1.Health/Check"}}))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	self, err := d.Register(ctx, discovery.Instance{Service: "greeter", Address: l.Addr().String()})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var server *grpc.Server
	w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLog(lg), wrapper.WithTrace(tr), wrapper.WithMetrics(mt),
		wrapper.WithMonitor(mo), wrapper.WithAuth(au), wrapper.WithLimit(few), wrapper.WithLoadReport(),
		wrapper.WithServerTimeout(5*time.Second), wrapper.WithRegistration(self), wrapper.WithDrain(20*time.Millisecond),
		wrapper.WithOnDrain(func(context.Context) error { server.GracefulStop(); return nil }))
	if err != nil {
		return nil, errors.Join(err, self.Deregister(ctx), l.Close())
	}
	server = grpc.NewServer(wgrpc.ServerOptions(w)...)
	wgrpc.RegisterHealth(server, mo, nil) // and the services of yours
	go server.Serve(l)
	return w.Close, nil
}

// end snippet

func run(ctx context.Context, out io.Writer) (err error) {
	end := context.WithoutCancel(ctx)
	note := func(e error) { err = errors.Join(err, e) }
	d, err := discovery.New() // or consul.Backend, etcd.Backend
	if err != nil {
		return err
	}
	defer func() { note(d.Close()) }()
	known := auth.NewAuthority() // who they are, as long as all are in one process
	for range 2 {
		mt, err := metrics.New()
		if err != nil {
			return err
		}
		stop, err := serve(ctx, d, known, mt)
		if err != nil {
			return err
		}
		defer func() {
			note(stop(end))
			calls, _ := mt.Snapshot().Find("rpc.server.call.duration", "grpc", "grpc.health.v1.Health/Check", "OK", "")
			fmt.Fprintln(out, "an instance answered", calls.Count, "calls")
		}()
	}

	// snippet: client
	tr, err1 := trace.New(trace.WithService("shop"))
	ro, err2 := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()), router.WithBreakers(router.Breakers{}))
	au, err3 := auth.New(auth.Local(known), auth.WithService("shop"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("shop"), wrapper.WithTrace(tr), wrapper.WithRouter(ro), wrapper.WithAuth(au))
	if err != nil {
		return err
	}
	defer func() { note(w.Close(end)) }() // closes the tracer and the router too
	conn, err := wgrpc.NewClient(w, "greeter", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { note(conn.Close()) }()
	client := health.NewHealthClient(conn) // any generated client
	for range 10 {
		if _, err := client.Check(ctx, &health.HealthCheckRequest{}); err != nil {
			return err
		}
	}
	// end snippet
	if err := tr.Flush(ctx); err != nil {
		return err
	}
	page, err := tr.Search(ctx, trace.Query{Service: "shop", Limit: 100})
	fmt.Fprintln(out, len(page.Traces), "traces")
	return err
}

const about = "grpcservice: two instances of a gRPC service on free ports of this machine, and a client that finds them by name.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
