package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

// report prints what happened, each part from the package that knows it.
func (c *cluster) report(ctx context.Context, out io.Writer, l *load) error {
	fmt.Fprintf(out, "\n%d calls, %d failed, p50 %s, p99 %s\n", len(l.all), l.failed, quantile(l.all, 0.50), quantile(l.all, 0.99))
	if l.failure != nil {
		fmt.Fprintf(out, "the first failure: %v\n", l.failure)
	}
	c.traffic(out)
	return errors.Join(c.slowest(ctx, out), c.health(out), c.chapters(ctx, out), c.leader(ctx, out), c.counters(ctx, out))
}

// share is how many calls each instance had in a phase.
type share struct {
	phase string
	calls map[string]int64
}

// share counts the calls since the last one.
func (c *cluster) share(phase string) share {
	s := share{phase, map[string]int64{}}
	for id, in := range c.instances {
		s.calls[id] = in.calls.Load()
		for _, before := range c.shares {
			s.calls[id] -= before.calls[id]
		}
	}
	return s
}

// traffic shows where calls went in each phase, and what the routers think of
// each instance at the end.
func (c *cluster) traffic(out io.Writer) {
	fmt.Fprintf(out, "\nwhere calls went, by phase\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "instance\t")
	for _, s := range c.shares {
		fmt.Fprintf(w, "%s\t", s.phase)
	}
	fmt.Fprintf(w, "attempts failed\trouter says\t\n")
	for _, id := range c.order {
		in := c.instances[id]
		// names are called by greeters, greeters by the client.
		from := []*instance{c.client}
		if in.service == "names" {
			from = []*instance{c.instances["greeter-1"], c.instances["greeter-2"]}
		}
		var failed uint64
		says, known := "not registered any more", false
		for _, f := range from {
			for _, s := range f.router.Stats(in.service) {
				if s.ID != id {
					continue
				}
				if !known {
					says, known = "in rotation", true
				}
				for class := router.ServerError; int(class) < len(s.Outcomes); class++ {
					if class.Failed() {
						failed += s.Outcomes[class]
					}
				}
				if s.Ejected {
					says = "out: " + s.Reason
				}
			}
		}
		fmt.Fprintf(w, "%s\t", id)
		for _, s := range c.shares {
			fmt.Fprintf(w, "%d\t", s.calls[id])
		}
		fmt.Fprintf(w, "%d\t%s\t\n", failed, says)
	}
	w.Flush()
}

// slowest shows the slowest trace as a tree, of those that are known to their
// end: the last spans of the instance that died went with it.
func (c *cluster) slowest(ctx context.Context, out io.Writer) error {
	page, err := c.spans.Search(ctx, trace.Query{Service: "names", Limit: 20000})
	if err != nil || len(page.Traces) == 0 {
		return err
	}
	t := slices.MaxFunc(page.Traces, func(a, b trace.Trace) int { return int(a.Spans[0].Duration - b.Spans[0].Duration) })
	fmt.Fprintf(out, "\nthe slowest call of %d traces\n%s", len(page.Traces), t.Tree())
	return nil
}

func (c *cluster) health(out io.Writer) error {
	fmt.Fprintf(out, "\nhealth, as the client sees it\n")
	for _, service := range []string{"greeter", "names"} {
		v := c.client.monitor.Cluster().View(service)
		fmt.Fprintf(out, "  %-8s %s: %d of %d instances pass", service, v.Verdict, v.Pass, v.Expected)
		for _, m := range v.Members {
			if m.Presence != monitor.Present {
				fmt.Fprintf(out, ", %s is %s", m.Status.Instance.ID, m.Presence)
			}
		}
		fmt.Fprintln(out)
	}
	return nil
}

// chapters reads the story back from the event stream.
func (c *cluster) chapters(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\nevents\n")
	for r, err := range c.stream.Query(ctx, event.Types("quickstart.*")) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s %s: %s\n", r.Time.Format("15:04:05.000"), r.Type, r.Data)
	}
	return nil
}

// leader holds an election, to write the report: with a shared lock service
// only one of several quickstarts at a time gets here.
func (c *cluster) leader(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return dsync.Do(ctx, c.locks, "report", func(_ context.Context, token uint64) error {
		fmt.Fprintf(out, "\nthis report was written under the lock \"report\", fencing token %d\n", token)
		return nil
	})
}

// counters adds up what the instances counted together.
func (c *cluster) counters(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "greetings counted in the shared store:")
	for _, name := range []string{"Ada", "Grace", "Barbara", "Leslie", "Edsger"} {
		n, err := c.store.Add(ctx, "greeted/"+name, 0)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, " %s %d", name, n)
	}
	fmt.Fprintln(out)
	return nil
}
