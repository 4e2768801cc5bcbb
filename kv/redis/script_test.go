package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
)

func testDriver(t *testing.T, addr string) *driver {
	t.Helper()
	d, err := newDriver(config{Config: redis.Config{Address: addr, Timeout: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestLateCopiesDoNothing: a request that was given up and sent again may still
// arrive, when the world looks as it did before.
func TestLateCopiesDoNothing(t *testing.T) {
	d := testDriver(t, servertest.SharedRedis(t).Addr())
	ctx, ns := t.Context(), servertest.Namespace(t)
	value := func(key string) string {
		item, err := d.Get(ctx, key)
		if errors.Is(err, kv.ErrNotFound) {
			return "none"
		}
		return string(item.Value)
	}
	put := func(key, v string) {
		t.Helper()
		if _, err := d.Put(ctx, kv.Write{Key: key, Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name        string
		before      string // "": nothing
		op          op
		answer      int64
		then, after string
	}{
		{name: "put", before: "old", op: op{kind: opPutIf, cond: condition(revision([]byte("old"))), value: []byte("new")}, answer: 1, then: "old", after: "old"},
		{name: "create", op: op{kind: opPutIf, cond: "absent", value: []byte("new")}, answer: 1, after: "none"},
		{name: "create for a while", op: op{kind: opPutIf, cond: "absent", value: []byte("new"), ttl: 60000}, answer: 1, then: "others'", after: "others'"},
		{name: "delete", before: "old", op: op{kind: opDeleteIf, cond: condition(revision([]byte("old")))}, answer: 1, then: "old", after: "old"},
		{name: "add", before: "40", op: op{kind: opAdd, n: 2}, answer: 42, then: "7", after: "7"},
		{name: "add to nothing", op: op{kind: opAdd, n: -2, ttl: 60000}, answer: -2, after: "none"},
		{name: "conflict", before: "other", op: op{kind: opPutIf, cond: "absent", value: []byte("new")}, answer: 0, then: "7", after: "7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := ns + "/" + test.name
			o := test.op
			o.key, o.request, o.mark = key, d.requests.Add(1), d.marks.take("")
			late := o
			if test.before != "" {
				put(key, test.before)
			}
			n, err := d.node(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			if d.run(ctx, n, []*op{&o}); o.err != nil || o.n != test.answer {
				t.Fatalf("answered %d, %v, want %d", o.n, o.err, test.answer)
			}
			if test.then != "" {
				put(key, test.then)
			} else if err := d.Delete(ctx, key, 0); err != nil {
				t.Fatal(err)
			}
			if d.run(ctx, n, []*op{&late}); late.err != nil || late.n != test.answer {
				t.Errorf("the late copy is answered %d, %v, want %d", late.n, late.err, test.answer)
			}
			if got := value(key); got != test.after {
				t.Errorf("the late copy made it %q, want %q", got, test.after)
			}
		})
	}
}

// TestMarksAreFew: they do not fill the server.
func TestMarksAreFew(t *testing.T) {
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	d := testDriver(t, p.Addr())
	key := servertest.Namespace(t) + "/k"
	rev, err := d.Put(t.Context(), kv.Write{Key: key})
	for i := range 100 {
		if err == nil {
			rev, err = d.Put(t.Context(), kv.Write{Key: key, Value: fmt.Append(nil, i), IfRevision: rev})
		}
		if _, conflict := d.Put(t.Context(), kv.Write{Key: key, IfAbsent: true}); err == nil && !errors.Is(conflict, kv.ErrExists) {
			err = conflict
		}
	}
	if err != nil || d.marks.made != 1 {
		t.Fatalf("%d marks for one caller, want 1; %v", d.marks.made, err)
	}
	marks, err := d.client.Keys(context.Background(), markPrefix+d.marks.prefix+"*").Result()
	if err != nil || len(marks) != 1 {
		t.Fatalf("the server has the marks %q, %v", marks, err)
	}
	if life := d.client.PTTL(context.Background(), marks[0]).Val(); life <= 0 || life > 10*time.Second {
		t.Errorf("a mark lives for %v", life)
	}

	// That of a request which may still come is not used again.
	p.CutReplies(1)
	if _, err := d.Put(t.Context(), kv.Write{Key: key, Value: []byte("again"), IfRevision: rev}); err != nil {
		t.Fatal(err)
	}
	if n := len(d.marks.free[""]); n != 0 {
		t.Errorf("%d marks are free after an answer was lost, want none", n)
	}
}
