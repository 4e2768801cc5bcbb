package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

func TestKeysThatAreTold(t *testing.T) {
	for _, c := range []struct {
		more []string
		want int
		left int
	}{{nil, 1, 0}, {[]string{"a", "b", "a", "first"}, 3, 0}, {slices.Repeat([]string{"a"}, 300), 2, 0}} {
		more := make(chan string, 400)
		for _, k := range c.more {
			more <- k
		}
		if got := gather("first", more); len(got) != c.want || got[0] != "first" || len(more) != c.left {
			t.Errorf("of %d keys %d are told, %d are left, want %d and %d", len(c.more), len(got), len(more), c.want, c.left)
		}
	}
	more := make(chan string, 400)
	for i := range 300 {
		more <- fmt.Sprint(i)
	}
	if got := gather("first", more); len(got) != perTrip || len(more) != 300-perTrip+1 {
		t.Errorf("%d are told together and %d are left, want %d", len(got), len(more), perTrip)
	}
	for key, want := range map[string]bool{"": true, "k": true, "\xff": false, strings.Repeat("k", kv.MaxKey): true, strings.Repeat("k", kv.MaxKey+1): false} {
		if got := valid(key); got != want {
			t.Errorf("a key of %d bytes %.5q is valid: %v, want %v", len(key), key, got, want)
		}
	}
	for s, want := range map[string]string{"": "", "a/b": "a/b", "a*b?[c]": `a\*b\?\[c\]`, `\^-`: `\\\^\-`} {
		if got := literal(s); got != want {
			t.Errorf("%q is %q in a pattern, want %q", s, got, want)
		}
	}
}

func TestLivesAreRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond - 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, maxLife: maxLife.Milliseconds(), maxLife + 1: maxLife.Milliseconds(), math.MaxInt64: maxLife.Milliseconds()} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v is %d ms, want %d", d, got, want)
		}
	}
	if revision(nil) == 0 || revision([]byte("a")) == revision([]byte("b")) || revision(make([]byte, large)) == revision(make([]byte, large-1)) {
		t.Error("revisions meet")
	}
	for r, want := range map[kv.Revision]string{1: "0000000000000001", math.MaxUint64: "ffffffffffffffff"} {
		if got := condition(r); got != want {
			t.Errorf("%d is %s in a script, want %s", r, got, want)
		}
	}
}

type answerOf string

func (e answerOf) Error() string { return string(e) }
func (answerOf) RedisError()     {}

type timeout struct{ error }

func (timeout) Timeout() bool { return true }

// What the errors of the client say.
func TestWhatErrorsSay(t *testing.T) {
	for _, c := range []struct {
		err         error
		lost, moved bool
	}{
		{io.EOF, true, false}, {answerOf("ERR no"), false, false}, {answerOf("MOVED 1 h:1"), false, true}, {answerOf("ASK 1 h:1"), false, true}, {timeout{io.EOF}, false, false}, {kv.ErrNotFound, false, false},
	} {
		if lost(c.err) != c.lost || isMoved(c.err) != c.moved {
			t.Errorf("%v: lost %v, moved %v, want %v, %v", c.err, lost(c.err), isMoved(c.err), c.lost, c.moved)
		}
	}
	wrong, other := fault.Mark(fault.Invalid, io.EOF), fault.Mark(fault.Unavailable, io.EOF)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&kv.BatchError{Errors: map[string]error{"a": wrong}}, true}, {&kv.BatchError{Errors: map[string]error{"a": wrong, "b": wrong}}, true},
		{&kv.BatchError{Errors: map[string]error{"a": wrong, "b": other}}, false}, {&kv.BatchError{Errors: map[string]error{"a": other}}, false}, {wrong, false},
	} {
		if got := wrongType(c.err); got != c.want {
			t.Errorf("%v is that of other types: %v, want %v", c.err, got, c.want)
		}
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(io.EOF)
	if err := cause(ended, kv.ErrUnavailable); err != io.EOF {
		t.Errorf("a session that ended for %v said %v", io.EOF, err)
	}
	if err := cause(t.Context(), kv.ErrUnavailable); err != kv.ErrUnavailable {
		t.Errorf("a session that goes on said %v", err)
	}
}

// What a call sends, and what is made of the answers.
func TestAnswersOfCalls(t *testing.T) {
	for name, c := range map[string]struct {
		op   op
		want string
	}{
		"get": {op{kind: opGet}, "get k"}, "get with its end": {op{kind: opGet, life: true}, "get k; pttl k"},
		"set": {op{kind: opSet, value: []byte("v")}, "set k v"}, "set with an end": {op{kind: opSet, value: []byte("v"), ttl: 5}, "set k v px 5"},
		"create": {op{kind: opCreate, value: []byte("v")}, "set k v nx"}, "create with an end": {op{kind: opCreate, value: []byte("v"), ttl: 5}, "set k v nx px 5"},
		"delete": {op{kind: opDelete}, "del k"}, "add": {op{kind: opAdd, n: 3}, "incrby k 3"}, "add with an end": {op{kind: opAdd, n: 3, ttl: 5}, "evalsha " + addScript.hash + " 1 k 3 5"},
		"put if": {op{kind: opPutIf, value: []byte("v"), rev: 1, ttl: 5}, "evalsha " + putScript.hash + " 1 k 0000000000000001 v 5"}, "delete if": {op{kind: opDeleteIf, rev: 1}, "evalsha " + deleteScript.hash + " 1 k 0000000000000001"},
		"a script as a whole": {op{kind: opDeleteIf, rev: 1, whole: true}, "eval " + deleteScript.text + " 1 k 0000000000000001"},
	} {
		c.op.key = "k"
		var sent []string
		for _, cmd := range c.op.commands(t.Context()) {
			var words []string
			for _, a := range cmd.Args() {
				if b, ok := a.([]byte); ok {
					a = string(b)
				}
				words = append(words, fmt.Sprint(a))
			}
			sent = append(sent, strings.Join(words, " "))
		}
		if got := strings.Join(sent, "; "); got != c.want {
			t.Errorf("%s sends %q, want %q", name, got, c.want)
		}
		if c.op.writes() != (c.op.kind != opGet) {
			t.Errorf("%s writes: %v", name, c.op.writes())
		}
	}
	for name, c := range map[string]struct {
		value *string
		err   error
		left  time.Duration // -1: no end
		late  error         // of the second command
		life  bool
		want  error
		ends  bool
	}{
		"an item": {new("v"), nil, 0, io.EOF, false, nil, false}, "none": {nil, goredis.Nil, 0, nil, true, kv.ErrNotFound, false}, "no answer": {nil, io.EOF, 0, nil, true, io.EOF, false}, "empty": {new(""), nil, -1, nil, true, nil, false},
		"without an end": {new("v"), nil, -1, nil, true, nil, false}, "with an end": {new("v"), nil, time.Hour, nil, true, nil, true}, "just over": {new("v"), nil, 0, nil, true, nil, true},
		"gone in between": {new("v"), nil, -2, nil, true, kv.ErrNotFound, false}, "half an answer": {new("v"), nil, 0, io.EOF, true, io.EOF, false},
	} {
		o := &op{kind: opGet, key: "k", life: c.life}
		o.commands(t.Context())
		if c.value != nil {
			o.get.SetVal(*c.value)
		}
		o.get.SetErr(c.err)
		if o.pttl != nil {
			o.pttl.SetVal(c.left)
			o.pttl.SetErr(c.late)
		}
		o.answer()
		if !errors.Is(o.err, c.want) || c.want == nil && (o.err != nil || string(o.item.Value) != *c.value || o.item.Value == nil || o.item.Revision == 0) || o.item.Expires.IsZero() == c.ends {
			t.Errorf("%s: %+v, %v, want %v", name, o.item, o.err, c.want)
		}
		if c.ends && !o.item.Expires.After(time.Now().Add(-time.Minute)) {
			t.Errorf("%s: ends at %v", name, o.item.Expires)
		}
	}
	for _, c := range []struct {
		kind opKind
		val  any
		err  error
		n    int64
		want error
	}{
		{opSet, "OK", nil, 0, nil}, {opSet, nil, io.EOF, 0, kv.ErrUnknownOutcome}, {opCreate, "OK", nil, 0, nil}, {opCreate, nil, goredis.Nil, 0, kv.ErrExists}, {opCreate, nil, io.EOF, 0, kv.ErrUnknownOutcome},
		{opDelete, int64(1), nil, 0, nil}, {opDelete, nil, io.EOF, 0, kv.ErrUnknownOutcome}, {opAdd, int64(7), nil, 7, nil}, {opAdd, "7", nil, 7, nil}, {opAdd, nil, io.EOF, 0, kv.ErrUnknownOutcome}, {opPutIf, int64(-1), nil, -1, nil},
		{opGet, nil, io.EOF, 0, kv.ErrUnavailable}, {opGet, nil, context.DeadlineExceeded, 0, kv.ErrUnavailable}, {opGet, nil, context.Canceled, 0, context.Canceled},
	} {
		o := &op{kind: c.kind, key: "k"}
		o.commands(t.Context())
		if c.kind == opGet {
			o.get.SetErr(c.err)
		} else {
			o.write.SetVal(c.val)
			o.write.SetErr(c.err)
		}
		o.answer()
		o.settle()
		if fault.KindOf(o.err) != fault.KindOf(c.want) || (o.err == nil) != (c.want == nil) || o.n != c.n {
			t.Errorf("call %d, of which came %v, %v: %d, %v, want %d, %v", c.kind, c.val, c.err, o.n, o.err, c.n, c.want)
		}
	}
}
