package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
)

func TestMetaIsReversibleAndWithinLimits(t *testing.T) {
	for _, length := range []int{0, 1, 500, 511, 512, 513, 5000, 20000} {
		// Runes of three bytes, which the cuts fall into.
		in := discovery.Instance{ID: "a", Service: "ns/s", Address: "h:1", Version: "1", Labels: map[string]string{"k": strings.Repeat("語", length/3)}}
		m, err := meta(discovery.Entry{Owner: "o", TTL: time.Minute, Instance: in})
		if err != nil {
			t.Fatal(err)
		}
		if len(m) > 64 {
			t.Errorf("%d pairs, Consul takes 64", len(m))
		}
		for k, v := range m {
			if len(v) > 512 || len(k) > 128 || !utf8.ValidString(v) {
				t.Errorf("%s of %d bytes, UTF-8 %t", k, len(v), utf8.ValidString(v))
			}
		}
		if got := entry(&api.AgentService{ID: "x", Meta: m}, nil); !got.Equal(in) || got.Owner != "o" || got.TTL != time.Minute {
			t.Errorf("length %d: got another instance", length)
		}
	}
	_, err := meta(discovery.Entry{Instance: discovery.Instance{ID: "a", Labels: map[string]string{"k": strings.Repeat("v", 40000)}}})
	if !errors.Is(err, fault.TooLarge) {
		t.Errorf("40 kB of labels: %v, want too large", err)
	}
}

func TestServiceIDsDoNotMeet(t *testing.T) {
	seen := map[string]string{}
	for _, s := range [][2]string{
		{"a", "b"}, {"a/b", "c"}, {"a", "b~~c"}, {"a", "~7E"}, {"a", "~"}, {"a/7E", "x"}, {"a", "7E~~x"}, {"a", "~b~~c"}, {"a/b", "~c"},
	} {
		id := serviceID(s[0], s[1])
		if other, ok := seen[id]; ok {
			t.Errorf("%v and %s are both %s", s, other, id)
		}
		seen[id] = fmt.Sprint(s)
		if strings.ContainsAny(id, "/%?# ") {
			t.Errorf("%s is not safe in a URL", id)
		}
	}
	if got, want := serviceID("ns/s", "azAZ09-._:@+/ é"), "ns~s~~azAZ09-._:@+~2F~20~C3~A9"; got != want {
		t.Errorf("got %s, want %s: people look for it", got, want)
	}
}

func TestWhatOthersRegistered(t *testing.T) {
	check := func(id, status string) *api.HealthCheck { return &api.HealthCheck{CheckID: id, Status: status} }
	entry := func(id string, checks ...*api.HealthCheck) *api.ServiceEntry {
		return &api.ServiceEntry{Node: &api.Node{Address: "10.0.0.7"}, Service: &api.AgentService{
			ID: id, Port: 80, Meta: map[string]string{"zone": "z", "team": "t"}, Weights: api.AgentWeights{Passing: 3},
		}, Checks: checks}
	}
	portless := entry("portless")
	portless.Service.Port = 0
	u, _, expired := update([]*api.ServiceEntry{
		entry("plain"),
		entry("warning", check("c", api.HealthWarning)),
		entry("maintained", check(api.ServiceMaintPrefix+"x", api.HealthCritical)),
		entry("on-a-maintained-node", check(api.NodeMaint, api.HealthCritical)),
		entry("critical", check("c", api.HealthCritical)),
		entry("on-a-dead-node", check("serfHealth", api.HealthCritical), check("c", api.HealthPassing)),
		entry("failed-over", check("serfHealth", api.HealthCritical)),
		entry("failed-over", check("c", api.HealthPassing)),
		portless, // cannot be called
	})
	got := map[string]discovery.Status{}
	for _, in := range u.Instances {
		got[in.ID] = in.Status
	}
	want := map[string]discovery.Status{
		"plain": discovery.Up, "warning": discovery.Up, "maintained": discovery.Draining, "on-a-maintained-node": discovery.Draining, "failed-over": discovery.Up,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !expired["critical"] || !expired["on-a-dead-node"] || expired["plain"] {
		t.Errorf("expired: %v", expired)
	}
	in := u.Instances[0]
	if in.Address != "10.0.0.7:80" || in.Zone != "z" || in.Labels["team"] != "t" || in.Weight != 3 {
		t.Errorf("got %+v", in)
	}
}

func FuzzInstance(f *testing.F) {
	f.Add(`{"id":"a","address":"h:1"}`, "rest")
	f.Add(`{"id":"`, `a"}`)
	f.Fuzz(func(t *testing.T, one, two string) {
		s := &api.AgentService{ID: "own", Meta: map[string]string{metaPrefix + "0": one, metaPrefix + "1": two}}
		if e := entry(s, nil); e.ID == "" {
			t.Error("an instance without an id")
		}
	})
}

func TestAWipedAgentDoesNotLookLikeDeregistrations(t *testing.T) {
	type created map[string]uint64
	type step struct {
		index uint64
		first bool // of a session
		has   created
		want  map[string]discovery.Fate
		node  string
	}
	const left, lost = discovery.Deregistered, discovery.Lost
	for name, steps := range map[string][]step{
		"those that are missing have deregistered": {
			{90, true, created{"a": 5, "b": 6}, nil, ""},
			{91, false, created{"a": 5}, map[string]discovery.Fate{"b": left}, ""},
			{92, false, created{}, map[string]discovery.Fate{"a": left}, ""},
		},
		"a lower index: they are lost and come back": {
			{90, true, created{"a": 5, "b": 6, "c": 7}, nil, ""},
			{12, false, created{}, map[string]discovery.Fate{"a": lost, "b": lost, "c": lost}, ""},
			{13, false, created{"a": 13}, map[string]discovery.Fate{"b": lost}, ""},
			{14, false, created{"b": 14}, map[string]discovery.Fate{"a": left, "c": lost}, ""},
		},
		"a new session at the same data: one deregistered in between": {
			{90, true, created{"a": 5, "b": 6}, nil, ""},
			{95, true, created{"a": 5}, map[string]discovery.Fate{"b": left}, ""},
		},
		"a new session at data that began again, with a higher index": {
			{20, true, created{"a": 5, "b": 6}, nil, ""},
			{30, true, created{"a": 25}, map[string]discovery.Fate{"b": lost}, ""},
		},
		"a new session at data that began again, with an index of before": {
			{20, true, created{"a": 5, "b": 6}, nil, "n1"},
			{30, true, created{"a": 5}, map[string]discovery.Fate{"b": lost}, "n2"},
		},
		"a new session and nothing is there": {
			{20, true, created{"a": 5, "b": 6}, nil, ""},
			{30, true, created{}, map[string]discovery.Fate{"a": lost, "b": lost}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &driver{past: map[string]past{}}
			for i, s := range steps {
				a := conn.Answer[[]*api.ServiceEntry]{Index: s.index}
				for id, at := range s.has {
					a.Value = append(a.Value, &api.ServiceEntry{Node: &api.Node{ID: s.node}, Service: &api.AgentService{ID: id, Port: 80, CreateIndex: at}})
				}
				u := d.judge("s", a, s.first)
				for id, want := range s.want {
					if got := u.Fate(id); got != want {
						t.Errorf("step %d: fate of %s is %v, want %v", i, id, got, want)
					}
				}
			}
		})
	}
}
