package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// planned is a store that has only what a test gives it.
type planned struct {
	kv.KV
	items    []kv.Item
	err      error // behind the items
	events   []event
	features kv.Features
}

type event struct {
	kind  kv.EventKind
	key   string
	value string
	err   error
}

func (p planned) Features() kv.Features { return p.features }

func (p planned) Get(_ context.Context, key string, _ ...kv.GetOption) (kv.Item, error) {
	for _, item := range p.items {
		if item.Key == key {
			return item, p.err
		}
	}
	return kv.Item{}, kv.ErrNotFound
}

func (p planned) List(_ context.Context, prefix string, _ ...kv.ListOption) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		for _, item := range p.items {
			if strings.HasPrefix(item.Key, prefix) && !yield(item, nil) {
				return
			}
		}
		if p.err != nil {
			yield(kv.Item{}, p.err)
		}
	}
}

func (p planned) Watch(context.Context, string) iter.Seq2[kv.Event, error] {
	return func(yield func(kv.Event, error) bool) {
		for _, e := range p.events {
			if !yield(kv.Event{Kind: e.kind, Item: kv.Item{Key: e.key, Value: []byte(e.value)}}, e.err) {
				return
			}
		}
	}
}

// text is the parts of a content.
func text(c config.Content, err error) string {
	if err != nil {
		err = fault.Adopt("config", err) // as config does
		for name, kind := range map[string]error{"not found": config.ErrNotFound, "unavailable": config.ErrUnavailable, "denied": config.ErrDenied} {
			if errors.Is(err, kind) {
				return name
			}
		}
		return err.Error()
	}
	var parts []string
	for _, p := range c.Parts {
		parts = append(parts, p.Name+"="+string(p.Data))
	}
	return strings.Join(parts, " ")
}

func TestReadsOfKeys(t *testing.T) {
	items := []kv.Item{{Key: "app/b", Value: []byte("2")}, {Key: "app", Value: []byte("0")}, {Key: "app/a", Value: []byte("1")}, {Key: "apple", Value: []byte("3")}}
	revisions := map[string]string{}
	for _, c := range []struct {
		key  string
		err  error
		want string
	}{
		{"app", nil, "=0"},
		{"app/", nil, "a=1 b=2"},
		{"app/a", nil, "=1"},
		{"none", nil, "not found"},
		{"none/", nil, "not found"},
		{"app", kv.ErrUnavailable, "unavailable"},
		{"app/", kv.ErrUnavailable, "unavailable"},
		{"app/", kv.ErrDenied, "denied"},
	} {
		s := Source(planned{items: items, err: c.err, features: kv.Features{List: true}}, c.key)
		if _, ok := s.(config.Watcher); ok {
			t.Errorf("%s: watched, in a store that can't", c.key)
		}
		if err := s.(config.Opener).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context())
		if text(got, err) != c.want {
			t.Errorf("%s, %v: %s, want %s", c.key, c.err, text(got, err), c.want)
		}
		if other, ok := revisions[got.Revision]; ok && err == nil {
			t.Errorf("%s has the revision of %s", c.key, other)
		}
		revisions[got.Revision] = c.key
	}
}

func TestRevisionsDifferWithTheContent(t *testing.T) {
	seen := map[string]string{}
	for _, items := range [][]kv.Item{
		{{Key: "app/a", Value: []byte("1")}}, {{Key: "app/a", Value: []byte("2")}}, {{Key: "app/b", Value: []byte("1")}},
		{{Key: "app/a", Value: []byte("1")}, {Key: "app/b", Value: nil}},
	} {
		c, err := Source(planned{items: items}, "app/").Read(t.Context())
		if other, ok := seen[c.Revision]; ok || err != nil {
			t.Errorf("%v: %v, the revision of %s", items, err, other)
		}
		seen[c.Revision] = text(c, nil)
	}
}

func TestWhatAKeyMayBe(t *testing.T) {
	listing, not := kv.Features{List: true}, kv.Features{}
	for _, c := range []struct {
		key      string
		features kv.Features
		want     string // in the error; "": none
	}{
		{"a", not, ""},
		{"", not, "key of 0 bytes"},
		{strings.Repeat("k", kv.MaxKey), not, ""},
		{strings.Repeat("k", kv.MaxKey+1), not, fmt.Sprintf("key of %d bytes", kv.MaxKey+1)},
		{"a/", listing, ""},
		{"a/", not, "can't list"},
	} {
		err := Source(planned{features: c.features}, c.key).(config.Opener).Open(t.Context())
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.9s of %d bytes: %v, want %q", c.key, len(c.key), err, c.want)
		}
	}
}

func TestEventsOfKeys(t *testing.T) {
	put := func(key, value string) event { return event{kind: kv.EventPut, key: key, value: value} }
	deleted := func(key string) event { return event{kind: kv.EventDelete, key: key} }
	synced := event{kind: kv.EventSynced}
	for _, c := range []struct {
		what, key string
		events    []event
		want      []string
		err       error
	}{
		{"the state, then changes", "app", []event{put("app", "1"), synced, put("app", "2"), deleted("app")}, []string{"=1", "=2", "not found"}, nil},
		{"nothing", "app", []event{synced}, []string{"not found"}, nil},
		{"another key", "app", []event{put("app", "1"), put("apple", "9"), synced, put("app/a", "9")}, []string{"=1"}, nil},
		{"the keys below", "app/", []event{put("app/b", "2"), put("app/a", "1"), synced, deleted("app/b")}, []string{"a=1 b=2", "a=1"}, nil},
		{"an outage", "app", []event{put("app", "1"), synced, {err: kv.ErrUnavailable}, put("app", "2"), synced}, []string{"=1", "unavailable", "=2"}, nil},
		{"the end of the store", "app", []event{put("app", "1"), synced, {err: kv.ErrClosed}, put("app", "2")}, []string{"=1"}, kv.ErrClosed},
	} {
		s := Source(planned{events: c.events, features: kv.Features{List: true, Watch: true}}, c.key)
		var got []string
		err := s.(config.Watcher).Watch(t.Context(), func(c config.Content, err error) { got = append(got, text(c, err)) })
		if !reflect.DeepEqual(got, c.want) || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %q, %v", c.what, got, err, c.want, c.err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, events := range [][]event{{synced}, {{err: kv.ErrUnavailable}, synced}} {
		var got []string
		err := Source(planned{events: events, features: kv.Features{Watch: true}}, "app").(config.Watcher).Watch(ctx,
			func(c config.Content, err error) { got = append(got, text(c, err)) })
		if err == nil || len(got) > 1 || len(events) > 1 && len(got) > 0 {
			t.Errorf("after the end of the context: %q, %v", got, err)
		}
	}
}
