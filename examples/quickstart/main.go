// Command quickstart is the whole toolkit at work in one process: three
// instances each of two services, real HTTP between them, and a load that goes
// on while one instance turns slow and another dies.
//
//	go run ./examples/quickstart
//
// Everything runs on embedded defaults. The same program runs on real servers:
//
//	go run ./examples/quickstart -kv redis://127.0.0.1:6379 -sync etcd://127.0.0.1:2379 \
//		-discovery consul://127.0.0.1:8500 -event kafka://127.0.0.1:9092 -trace http://127.0.0.1:9411 -metrics statsd://127.0.0.1:8125
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/micro/go-platform/config/store"
)

// plan is how long the program runs and what happens when.
type plan struct {
	rate  int           // calls per second
	phase time.Duration // length of each of the three phases
	addr  string        // of the page
	stay  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var b backends
	var p plan
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	b.define(flags)
	flags.IntVar(&p.rate, "rate", 200, "calls per second")
	flags.DurationVar(&p.phase, "phase", 3*time.Second, "length of each of the three phases")
	flags.StringVar(&p.addr, "addr", "127.0.0.1:0", "where the page listens; port 0 is any that is free")
	flags.BoolVar(&p.stay, "stay", false, "go on until interrupted, with the load, to look at the page")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.rate < 1 || p.rate > 10000 || p.phase <= 0 {
		return fmt.Errorf("rate %d and phase %v, want 1 to 10000 and more than 0", p.rate, p.phase)
	}
	c, err := newCluster(ctx, &b, p.addr)
	if err != nil {
		return err
	}
	defer c.close()

	fmt.Fprint(out, c.about())
	load, err := c.load(ctx, p.rate)
	if err != nil {
		return err
	}
	story := []struct {
		short, what string
		do          func() error
	}{
		{"all well", "all is well", func() error { return nil }},
		{"names-2 slow", "names-2 turns slow: 100 ms for each call (a change of configuration)", func() error {
			_, err := c.settings.Set(ctx, "quickstart", "slow.names-2", "100ms", store.Author("quickstart"), store.Comment("names-2 turns slow"))
			return err
		}},
		{"greeter-3 dead", "greeter-3 dies: its connections are cut, its heartbeats end", func() error { return c.kill("greeter-3") }},
	}
	for _, s := range story {
		fmt.Fprintf(out, "── %s\n", s.what)
		if err := s.do(); err != nil {
			return err
		}
		c.tell(s.what)
		load.progress(ctx, out, p.phase)
		c.shares = append(c.shares, c.share(s.short))
	}
	if err := load.stop(); err != nil {
		return err
	}
	if err := c.report(ctx, out, load); err != nil {
		return err
	}
	if p.stay && ctx.Err() == nil {
		fmt.Fprintf(out, "\nthe load goes on until you interrupt; the page: http://%s/\n", c.page)
		load, err = c.load(ctx, p.rate)
		if err != nil {
			return err
		}
		<-ctx.Done()
		return load.stop()
	}
	return nil
}
