package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/consul"
)

func TestMetaIsReversibleAndWithinLimits(t *testing.T) {
	for _, length := range []int{0, 1, 500, 511, 512, 513, 5000, 20000} {
		// Runes of three bytes, which the cuts fall into.
		in := discovery.Instance{ID: "a", Service: "ns/s", Address: "h:1", Version: "1", Labels: map[string]string{"k": strings.Repeat("語", length/3)}}
		m, err := meta(in)
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
		if got := instance(&api.ServiceEntry{Service: &api.AgentService{ID: "x", Meta: m}}); !got.Equal(in) {
			t.Errorf("length %d: got another instance", length)
		}
	}
	_, err := meta(discovery.Instance{ID: "a", Labels: map[string]string{"k": strings.Repeat("v", 40000)}})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("40 kB of labels: %v, want ErrTooLarge", err)
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
}

func TestWhatOthersRegistered(t *testing.T) {
	check := func(id, status string) *api.HealthCheck { return &api.HealthCheck{CheckID: id, Status: status} }
	entry := func(id string, checks ...*api.HealthCheck) *api.ServiceEntry {
		return &api.ServiceEntry{Node: &api.Node{Address: "10.0.0.7"}, Service: &api.AgentService{
			ID: id, Port: 80, Meta: map[string]string{"zone": "z", "team": "t"}, Weights: api.AgentWeights{Passing: 3},
		}, Checks: checks}
	}
	u := update([]*api.ServiceEntry{
		entry("plain"),
		entry("warning", check("c", api.HealthWarning)),
		entry("maintained", check(api.ServiceMaintPrefix+"x", api.HealthCritical)),
		entry("on-a-maintained-node", check(api.NodeMaint, api.HealthCritical)),
		entry("critical", check("c", api.HealthCritical)),
		entry("on-a-dead-node", check("serfHealth", api.HealthCritical), check("c", api.HealthPassing)),
		entry("failed-over", check("serfHealth", api.HealthCritical)),
		entry("failed-over", check("c", api.HealthPassing)),
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
	if u.Deregistered("critical") || u.Deregistered("on-a-dead-node") || !u.Deregistered("unheard-of") {
		t.Error("expiry and deregistration are mixed up")
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
		e := &api.ServiceEntry{Service: &api.AgentService{ID: "own", Meta: map[string]string{metaPrefix + "0": one, metaPrefix + "1": two}}}
		if in := instance(e); in.ID == "" {
			t.Error("an instance without an id")
		}
	})
}

func TestAWipedAgentDoesNotLookLikeDeregistrations(t *testing.T) {
	d := &driver{past: map[string]past{}}
	answer := func(index uint64, ids ...string) discovery.Update {
		a := conn.Answer[[]*api.ServiceEntry]{Index: index}
		for _, id := range ids {
			a.Value = append(a.Value, &api.ServiceEntry{Service: &api.AgentService{ID: id}})
		}
		return d.judge("s", a)
	}
	if u := answer(90, "a", "b", "c"); !u.Deregistered("z") {
		t.Error("before: one that is missing has deregistered")
	}
	// The index is lower: the data is gone. They come back one by one.
	if u := answer(12); u.Deregistered("a") || u.Deregistered("b") {
		t.Error("wiped: lost instances count as deregistered")
	}
	if u := answer(13, "a"); u.Deregistered("b") {
		t.Error("one is back: the others count as deregistered")
	}
	// One that came back and leaves has deregistered.
	if u := answer(14, "b"); !u.Deregistered("a") || u.Deregistered("c") {
		t.Errorf("after: a deregistered %t, want true; c %t, want false", u.Deregistered("a"), u.Deregistered("c"))
	}
}
