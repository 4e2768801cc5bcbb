package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
)

func discoveryNoun() *command {
	return &command{name: "discovery", short: "services and their instances: list, watch", subs: []*command{discoveryList(), discoveryWatch()}}
}

func openDiscovery(c *call, t *target) (discovery.Discovery, error) {
	return opened(c, t, discovery.New, discovery.WithNamespace,
		discoveryredis.URL, discoveryetcd.URL, discoveryconsul.URL, discoverykubernetes.URL, discoverysql.URL)
}

func onDiscovery(f *flags, do func(context.Context, *call, discovery.Discovery) error) action {
	return opening(f.target("discovery", "the registry").namespaced(f, ""), openDiscovery, do)
}

func discoveryList() *command {
	return &command{
		name: "list", args: "[SERVICE]", max: 1, short: "list the services, or the instances of one",
		examples: []string{"platform discovery list", "platform discovery list orders", "platform discovery list orders -o json", "platform discovery list nothing   # exit 1"},
		setup: func(f *flags) action {
			limit := f.limit(200, "list `N` at the most; 0: all")
			return onDiscovery(f, func(ctx context.Context, c *call, d discovery.Discovery) error {
				l := c.limit(*limit)
				if len(c.args) == 0 {
					return listServices(ctx, c, d, l)
				}
				return listInstances(ctx, c, d, l)
			})
		},
	}
}

type serviceJSON struct {
	Service   string   `json:"service"`
	Instances int      `json:"instances"`
	Up        int      `json:"up"`
	Versions  []string `json:"versions,omitempty"`
	Zones     []string `json:"zones,omitempty"`
}

func listServices(ctx context.Context, c *call, d discovery.Discovery, l *limit) error {
	names, err := d.Services(ctx)
	if err != nil {
		return err
	}
	out := c.table("SERVICE", "UP", "INSTANCES", "VERSIONS", "ZONES")
	for _, name := range names {
		if !l.next() {
			break
		}
		snap, err := d.Get(ctx, name)
		if err != nil {
			return err
		}
		v := serviceJSON{Service: name, Instances: len(snap.Instances)}
		versions, zones := map[string]bool{}, map[string]bool{}
		for _, in := range snap.Instances {
			versions[in.Version], zones[in.Zone] = true, true
			if in.Status == discovery.Up {
				v.Up++
			}
		}
		delete(versions, "")
		delete(zones, "")
		v.Versions, v.Zones = slices.Sorted(maps.Keys(versions)), slices.Sorted(maps.Keys(zones))
		if err := out.row(v, name, v.Up, v.Instances, strings.Join(v.Versions, ","), strings.Join(v.Zones, ",")); err != nil {
			return err
		}
	}
	return l.end(out, "no services")
}

func listInstances(ctx context.Context, c *call, d discovery.Discovery, l *limit) error {
	snap, err := d.Get(ctx, c.args[0])
	if err != nil {
		return err
	}
	if len(snap.Instances) == 0 {
		return no("no instances of %q", c.args[0])
	}
	out := c.table("ID", "ADDRESS", "STATUS", "VERSION", "ZONE", "LABELS")
	for _, in := range snap.Instances {
		if !l.next() {
			break
		}
		if err := out.row(in, instanceCells(in)...); err != nil {
			return err
		}
	}
	return l.end(out, "")
}

func instanceCells(in discovery.Instance) []any {
	status := painted{green, in.Status.String()}
	if in.Status != discovery.Up {
		status.color = yellow
	}
	return []any{in.ID, in.Address, status, in.Version, in.Zone, pairsText(in.Labels)}
}

func discoveryWatch() *command {
	return &command{
		name: "watch", args: "SERVICE", min: 1, max: 1, follows: true, short: "print the instances of a service and every change, until Ctrl-C",
		examples: []string{"platform discovery watch orders", "platform discovery watch orders -o json"},
		setup: func(f *flags) action {
			return onDiscovery(f, func(ctx context.Context, c *call, d discovery.Discovery) error {
				known := map[string]discovery.Instance{}
				outage := false
				for snap, err := range d.Watch(ctx, c.args[0]) {
					if ctx.Err() != nil {
						return nil
					}
					if err != nil {
						return err
					}
					if down := snap.Err != nil; down != outage {
						outage = down
						if down {
							c.waiting(snap.Err)
						}
					}
					if err := printChanges(c, known, snap.Instances); err != nil {
						return err
					}
				}
				return ended(ctx)
			})
		},
	}
}

// printChanges prints what differs from what was known, and makes it known.
func printChanges(c *call, known map[string]discovery.Instance, now []discovery.Instance) error {
	seen := map[string]bool{}
	show := func(kind string, col color, in discovery.Instance) error {
		return c.line(struct {
			Kind     string             `json:"kind"`
			Instance discovery.Instance `json:"instance"`
		}{kind, in}, append([]any{painted{col, kind}}, instanceCells(in)...)...)
	}
	for _, in := range now {
		seen[in.ID] = true
		old, was := known[in.ID]
		known[in.ID] = in
		var err error
		switch {
		case !was:
			err = show("new", green, in)
		case !old.Equal(in):
			err = show("change", yellow, in)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if in := known[id]; !seen[id] {
			delete(known, id)
			if err := show("gone", red, in); err != nil {
				return err
			}
		}
	}
	return nil
}
