package etcd

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/discovery"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestKeysComeBackAsNames(t *testing.T) {
	for _, service := range []string{"s", "ns/s", "-", "+/+"} {
		got, id, ok := cut(base(service) + "+id")
		if !ok || got != service || id != "+id" {
			t.Errorf("%s became %s %s %t", service, got, id, ok)
		}
	}
	if base("a") == base("~/a") && base("a") != root+"~/a/" {
		t.Error("no namespace is a namespace that can be chosen")
	}
	for _, key := range []string{"", root, root + "a", root + "a/b", root + "a/b/", root + "a/b/c/d"} {
		if service, _, ok := cut(key); ok {
			t.Errorf("%q is taken for a key of %q", key, service)
		}
	}
}

// TestWhoLeftIsToldOnce: a deregistration is known while the set without it is
// delivered, and forgotten then. Instances that come and go must not add up.
func TestWhoLeftIsToldOnce(t *testing.T) {
	s := set{base: base("s"), live: map[string]discovery.Entry{}, gone: map[string]bool{}}
	event := func(kind mvccpb.Event_EventType, name, value string) {
		s.apply(&clientv3.Event{Type: kind, Kv: &mvccpb.KeyValue{Key: []byte(s.base + name), Value: []byte(value)}})
	}
	fates := func() (fates [2]discovery.Fate) {
		s.tell(func(u discovery.Update) { fates = [2]discovery.Fate{u.Fate("a"), u.Fate("b")} })
		return fates
	}
	event(clientv3.EventTypePut, "+a", `{"id":"a","address":"h:1"}`)
	event(clientv3.EventTypeDelete, "+a", "")
	event(clientv3.EventTypePut, "-a", "")
	if got, want := fates(), [2]discovery.Fate{discovery.Deregistered, discovery.Unknown}; got != want {
		t.Errorf("when it has left: %v, want %v", got, want)
	}
	if len(s.gone) != 0 {
		t.Errorf("%d names are kept, want none", len(s.gone))
	}
	event(clientv3.EventTypePut, "-b", "")
	if got, want := fates(), [2]discovery.Fate{discovery.Unknown, discovery.Deregistered}; got != want {
		t.Errorf("when the next one has left: %v, want %v", got, want)
	}
}

func FuzzSet(f *testing.F) {
	f.Add("+a", `{"id":"a","address":"h:1"}`, false)
	f.Add("-a", "", false)
	f.Add("+a", `{"id":"b","address":"h:1"}`, false) // another's
	f.Add("+a", `{"id":"a"`, false)                  // not JSON
	f.Add("", "", true)
	f.Fuzz(func(t *testing.T, name, value string, deleted bool) {
		s := set{base: base("s"), live: map[string]discovery.Entry{}, gone: map[string]bool{}}
		e := &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(s.base + name), Value: []byte(value)}}
		if deleted {
			e.Type = clientv3.EventTypeDelete
		}
		s.apply(e)
		for _, in := range s.update().Instances {
			if deleted || "+"+in.ID != name || !strings.HasPrefix(name, "+") {
				t.Errorf("%q %q became %+v", name, value, in)
			}
		}
	})
}
