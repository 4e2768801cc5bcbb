// Command shop is a small shop, as an example of an application of several
// services: frontend (HTTP), catalogue (gRPC, on db), cart (HTTP, on kv), orders
// (HTTP, on db with an outbox and a leader's job) and payment (events and gRPC,
// with an inbox). They call each other by name, with tokens and policies, and a
// feature flag and a rollout can be changed while they run.
//
//	go run ./examples/shop
//
// runs all of them in one process on one SQLite file, with shoppers, while one
// instance turns slow, one is killed, and connections are cut, and reports what
// the shoppers saw and what became of their orders. With URLs it runs on real
// servers:
//
//	go run ./examples/shop -db postgres://127.0.0.1/shop -kv redis://127.0.0.1:6379 -event nats://127.0.0.1:4222
//
// and with -service each process is one instance of one service:
//
//	go run ./examples/shop -db sqlite:shop.db -service catalogue -instance catalogue-1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	addr, ops                        string
	db, kv, sync, discovery, event   string // URLs; "": the database
	service, instance, version, logs string
	chaos                            string
	rate, most                       int
	phase                            time.Duration
	declined, broken                 float64
	stay                             bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "where the frontend listens, or the one service of -service")
	f.StringVar(&o.ops, "ops", "127.0.0.1:8090", "where the frontend listens for operators: the page, metrics and probes")
	f.StringVar(&o.db, "db", "", "URL of the database: sqlite:FILE, postgres:// or mysql://; without it a temporary SQLite file")
	f.StringVar(&o.kv, "kv", "", "URL of the key-value store: redis://, etcd://, consul:// or nats://; without it the database")
	f.StringVar(&o.sync, "sync", "", "URL of the lock service: redis://, etcd:// or consul://; without it the database")
	f.StringVar(&o.discovery, "discovery", "", "URL of the registry: redis://, etcd:// or consul://; without it the database")
	f.StringVar(&o.event, "event", "", "URL of the stream of events: redis://, nats://, kafka:// or amqp://; without it the database")
	f.StringVar(&o.service, "service", "", "run one instance of one service until interrupted: frontend, catalogue, cart, orders or payment")
	f.StringVar(&o.instance, "instance", "", "with -service: the id of the instance; without it SERVICE-1")
	f.StringVar(&o.version, "version", "1", "with -service: the version of the instance")
	f.StringVar(&o.chaos, "chaos", "all", "what goes wrong while shoppers shop: slow, kill, cut, all or none")
	f.IntVar(&o.rate, "rate", 20, "shoppers per second; each makes four requests")
	f.IntVar(&o.most, "most", 100, "shoppers in the shop at the same time; who finds it full goes away")
	f.DurationVar(&o.phase, "phase", 4*time.Second, "length of each phase, which lasts until some requests were answered")
	f.Float64Var(&o.declined, "declined", 0.1, "share of the payments that are refused")
	f.Float64Var(&o.broken, "broken", 0.1, "share of the attempts to pay that fail, and are made again")
	f.BoolVar(&o.stay, "stay", false, "keep shopping after the report, until interrupted")
	f.StringVar(&o.logs, "log", "", "file to which all services log; without it nowhere")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.rate < 1 || o.rate > 1000 || o.phase <= 0:
		return o, fmt.Errorf("rate %d and phase %v, want 1 to 1000 and more than 0", o.rate, o.phase)
	case o.most < 1:
		return o, fmt.Errorf("most %d, want 1 and more", o.most)
	case !(o.declined >= 0 && o.declined <= 1) || !(o.broken >= 0 && o.broken < 1):
		return o, fmt.Errorf("declined %v and broken %v, want shares", o.declined, o.broken)
	case !slices.Contains([]string{"slow", "kill", "cut", "all", "none"}, o.chaos):
		return o, fmt.Errorf("chaos %q, want slow, kill, cut, all or none", o.chaos)
	case o.service != "" && services[o.service] == nil:
		return o, fmt.Errorf("service %q, want frontend, catalogue, cart, orders or payment", o.service)
	case o.service != "" && o.db == "":
		return o, errors.New("-service needs -db: processes share no temporary file")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // Ctrl-C is no failure, also while it begins or reads what became of orders
		}
	}()
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if o.service != "" {
		return s.alone(ctx, out)
	}
	return s.story(ctx, out)
}
