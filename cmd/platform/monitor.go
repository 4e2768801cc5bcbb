package main

import (
	"context"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
)

func monitorNoun() *command {
	return &command{name: "monitor", short: "health: of all services, of one, of a process", subs: []*command{monitorStatus()}}
}

func monitorStatus() *command {
	return &command{
		name: "status", args: "[SERVICE | URL]", max: 1, short: "say how services are, the instances of one, or a process",
		long:     "SERVICE and no argument read what the instances report to the store (monitor/kv). URL is where a\nprocess serves /statusz. Exit code 1 if something fails. Without -discovery nobody knows how many\ninstances there should be.",
		examples: []string{"platform monitor status", "platform monitor status orders -o json", "platform monitor status http://127.0.0.1:8081"},
		setup: func(f *flags) action {
			t := f.target("monitor", "the store that the instances report to").namespaced(f, "monitor")
			registry := f.target("discovery", "the registry, which knows the instances that there should be").within("")
			return func(ctx context.Context, c *call) error {
				if strings.Contains(c.arg(0), "://") {
					return processStatus(ctx, c)
				}
				return clusterStatus(ctx, c, t, registry)
			}
		},
	}
}

// processStatus asks one process.
func processStatus(ctx context.Context, c *call) error {
	var s monitor.Status
	if err := c.ask(ctx, c.args[0], "statusz", &s); err != nil {
		return err
	}
	if c.isJSON() {
		if err := c.json(s); err != nil {
			return err
		}
	} else {
		if c.isTable() {
			c.note("%s: %v, ready: %v", strings.TrimSpace(s.Instance.Service+" "+s.Instance.ID), s.Phase, s.Ready)
		}
		out := c.table("CHECK", "STATE", "SINCE", "ERROR")
		if err := out.row(nil, "(all)", stateCell(s.State), c.when(s.Since), ""); err != nil {
			return err
		}
		for _, r := range s.Checks {
			if err := out.row(r, r.Name, stateCell(r.State), c.when(r.Since), r.Error); err != nil {
				return err
			}
		}
		if err := out.end(""); err != nil {
			return err
		}
	}
	if s.State == monitor.Fail || !s.Ready {
		return &failure{code: exitNo}
	}
	return nil
}

func stateCell(s monitor.State) painted {
	return painted{map[monitor.State]color{monitor.Pass: green, monitor.Warn: yellow, monitor.Fail: red, monitor.Unknown: dim}[s], s.String()}
}

// clusterStatus reads what all instances report.
func clusterStatus(ctx context.Context, c *call, t, registry *target) error {
	store, err := openKV(c, t)
	if err != nil {
		return err
	}
	synced := make(chan struct{})
	watched := &reader{KV: store, ready: sync.OnceFunc(func() { close(synced) })}
	opts := []monitor.Option{monitorkv.Backend(watched), monitor.WithService(observer)}
	if *registry.url != "" || c.env(variable(registry.noun)) != "" {
		d, err := openDiscovery(c, registry)
		if err != nil {
			return err
		}
		opts = append(opts, monitor.WithExpected(func(service string) ([]string, bool) { return instanceIDs(ctx, d, service) }))
	}
	mo, err := monitor.New(opts...)
	if err != nil {
		return err
	}
	c.closesWithin(mo.Close)
	select {
	case <-synced:
	case <-ctx.Done():
		return ctx.Err()
	}
	if len(c.args) > 0 {
		return serviceStatus(c, mo.Cluster().View(c.args[0]))
	}
	failed := false
	out := c.table("SERVICE", "VERDICT", "PASS", "WARN", "FAIL", "EXPECTED", "REASONS")
	for _, service := range mo.Cluster().Services() {
		if service == observer {
			continue
		}
		v := mo.Cluster().View(service)
		failed = failed || v.Verdict == monitor.Fail || v.Fail > 0
		var expected any = ""
		if v.Expected >= 0 {
			expected = v.Expected
		}
		row := viewJSON{v.Service, v.Verdict, v.Reasons, v.Expected, v.Pass, v.Warn, v.Fail, v.Unknown}
		if err := out.row(row, service, stateCell(v.Verdict), v.Pass, v.Warn, v.Fail, expected, strings.Join(v.Reasons, "; ")); err != nil {
			return err
		}
	}
	if err := out.end("no service has reported"); err != nil || !failed {
		return err
	}
	return &failure{code: exitNo}
}

// observer is this program in the monitor's eyes. It publishes nothing.
const observer = "_platform"

func instanceIDs(ctx context.Context, d discovery.Discovery, service string) (ids []string, known bool) {
	snap, err := d.Get(ctx, service)
	if err != nil {
		return nil, false
	}
	for _, in := range snap.Instances {
		ids = append(ids, in.ID)
	}
	return ids, true
}

type viewJSON struct {
	Service  string        `json:"service"`
	Verdict  monitor.State `json:"verdict"`
	Reasons  []string      `json:"reasons,omitempty"`
	Expected int           `json:"expected"` // -1: nobody knows
	Pass     int           `json:"pass"`
	Warn     int           `json:"warn"`
	Fail     int           `json:"fail"`
	Unknown  int           `json:"unknown"`
}

type memberJSON struct {
	ID      string        `json:"id"`
	Version string        `json:"version,omitempty"`
	Address string        `json:"address,omitempty"`
	Zone    string        `json:"zone,omitempty"`
	State   monitor.State `json:"state"`
	Phase   monitor.Phase `json:"phase"`
	Ready   bool          `json:"ready"`
	Since   time.Time     `json:"since"`
	Failing []string      `json:"failing,omitempty"` // checks
}

// serviceStatus lists the instances of a service.
func serviceStatus(c *call, v monitor.View) error {
	if len(v.Members) == 0 {
		return no("no instance of %q has reported", v.Service)
	}
	failed := v.Verdict == monitor.Fail
	out := c.table("ID", "STATE", "PHASE", "READY", "VERSION", "ADDRESS", "SINCE", "FAILING")
	for _, m := range v.Members {
		s := m.Status
		row := memberJSON{s.Instance.ID, s.Instance.Version, s.Instance.Address, s.Instance.Zone, s.State, s.Phase, s.Ready, s.Since.UTC(), nil}
		for _, r := range s.Checks {
			if r.State == monitor.Fail {
				row.Failing = append(row.Failing, r.Name)
			}
		}
		failed = failed || s.State == monitor.Fail || !s.Ready
		ready := "yes"
		if !s.Ready {
			ready = "no"
		}
		if err := out.row(row, row.ID, stateCell(s.State), s.Phase, ready, row.Version, row.Address, c.when(s.Since), strings.Join(row.Failing, ",")); err != nil {
			return err
		}
	}
	if err := out.end(""); err != nil || !failed {
		return err
	}
	return &failure{code: exitNo}
}

// reader is a store that takes no writes, and says when all that is there was read.
type reader struct {
	kv.KV
	ready func()
}

// Put writes nothing: who looks at the cluster is no member of it.
func (r *reader) Put(context.Context, string, []byte, ...kv.PutOption) (kv.Revision, error) {
	return 0, nil
}

func (r *reader) Watch(ctx context.Context, prefix string) iter.Seq2[kv.Event, error] {
	return func(yield func(kv.Event, error) bool) {
		for e, err := range r.KV.Watch(ctx, prefix) {
			if !yield(e, err) {
				return
			}
			if e.Kind == kv.EventSynced && err == nil {
				r.ready()
			}
		}
	}
}

// List is called of stores that can't watch.
func (r *reader) List(ctx context.Context, prefix string, opts ...kv.ListOption) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		for item, err := range r.KV.List(ctx, prefix, opts...) {
			if !yield(item, err) || err != nil {
				return
			}
		}
		r.ready()
	}
}
