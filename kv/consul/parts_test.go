package consul

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// Items are removed a moment after their end, each once, in the order of their ends,
// and not when they were written again.
func TestWhatIsOverIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reaper
		var mu sync.Mutex
		var removed []string
		r.init(func(name string, index uint64) {
			mu.Lock()
			defer mu.Unlock()
			removed = append(removed, fmt.Sprint(name, index))
		})
		defer r.close()
		begin := time.Now()
		in := func(d time.Duration) time.Time { return begin.Add(d) }
		at := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(time.Until(begin.Add(d)))
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(removed, want) {
				t.Errorf("after %v %v are removed, want %v", d, removed, want)
			}
		}
		r.add("late", 1, in(10*time.Second))
		r.add("soon", 2, in(time.Second)) // and so the next one to wait for
		r.add("soon", 2, in(time.Second)) // as two readers tell of it
		r.add("again", 3, in(time.Second))
		r.add("again", 4, in(20*time.Second)) // written again
		at(time.Second + grace - 1)
		at(time.Second+grace, "soon2")
		at(10*time.Second+grace-1, "soon2")
		at(10*time.Second+grace, "soon2", "late1")
		at(20*time.Second+grace, "soon2", "late1", "again4")
		r.mu.Lock()
		if r.running || r.queue.Len() > 0 {
			t.Errorf("in the end it runs: %v, and knows of %d", r.running, r.queue.Len())
		}
		r.mu.Unlock()
		r.add("new", 5, in(0)) // and it begins again
		synctest.Wait()
		at(23*time.Second, "soon2", "late1", "again4", "new5")
		r.add("never", 6, in(time.Hour))
		r.close() // does not wait for it
		r.close()
		r.add("closed", 7, in(0))
		at(2*time.Hour, "soon2", "late1", "again4", "new5")
	})
	r := reaper{running: true}
	r.init(nil)
	for i := range maxReap + 2 {
		r.add(fmt.Sprint(i), 1, time.Time{})
	}
	if r.queue.Len() != maxReap {
		t.Errorf("%d are remembered, want %d", r.queue.Len(), maxReap)
	}
	r.add("0", 3, time.Time{}.Add(time.Hour)) // who is written again and again has one place
	r.add("0", 2, time.Time{})                // and that of the last one
	if e, _ := r.queue.Get("0"); r.queue.Len() != maxReap || e.Value != 3 || !e.At.Equal(time.Time{}.Add(time.Hour+grace)) {
		t.Errorf("written again it is %v, one of %d", e, r.queue.Len())
	}
	r.forget("0", 2) // what was deleted is older
	if r.index("0") != 3 || r.index("none") != 0 {
		t.Errorf("of the indexes %d and %d, want 3 and 0", r.index("0"), r.index("none"))
	}
	r.forget("0", 3)
	r.forget("none", 0)
	if r.index("0") != 0 || r.queue.Len() != maxReap-1 {
		t.Errorf("deleted, its index is %d, one of %d", r.index("0"), r.queue.Len())
	}
}

// The end of a life in an item's flags, and those of other programs.
func TestFlags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for ttl, want := range map[time.Duration]time.Duration{1: time.Millisecond, time.Millisecond: time.Millisecond, time.Millisecond + 1: 2 * time.Millisecond, time.Hour: time.Hour, maxLife: maxLife, maxLife + time.Hour: maxLife, math.MaxInt64: maxLife} {
			end, alive := endOf(flagsOf(ttl))
			if life := time.Until(end); life != want || !alive {
				t.Errorf("a life of %v ends in %v, %v, want %v", ttl, life, alive, want)
			}
		}
		flags := flagsOf(time.Second)
		time.Sleep(time.Second - 1)
		_, before := endOf(flags)
		time.Sleep(time.Nanosecond)
		_, then := endOf(flags)
		if !before || then {
			t.Errorf("alive just before the end: %v, and at it: %v", before, then)
		}
		for _, flags := range []uint64{flagsOf(0), flagsOf(-1), 0, 1, math.MaxUint64} {
			if end, alive := endOf(flags); !end.IsZero() || !alive {
				t.Errorf("flags %x end at %v, alive: %v", flags, end, alive)
			}
		}
		if one, other := flagsOf(0), flagsOf(0); one == other {
			t.Error("two writes of the same have the same flags")
		}
	})
}

func TestKeysOfConsul(t *testing.T) {
	for key, want := range map[string]string{"": "", "k": "k", "azAZ09": "azAZ09", "-_~:=@,": "-_~:=@,", "a/b.c": "a/b.c", "/": "%2F", ".": "%2E", "a//b": "a/%2Fb", "a/.": "a/%2E", "a b": "a%20b", "%": "%25", "é": "%C3%A9", "`{@[/:": "%60%7B@%5B/:"} {
		if got := encode(key); got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
		if got, ok := decode(want); got != key || !ok {
			t.Errorf("%q is the key %q, %v, want %q", want, got, ok, key)
		}
	}
	for _, name := range []string{"%", "%2", "a%2", "%2f", "%G0", "%0G", "%41", "/a", "a b"} {
		if got, ok := decode(name); ok {
			t.Errorf("another program's %q is the key %q", name, got)
		}
	}
	for name, want := range map[string]bool{"": false, "k": true, "%FF": false, strings.Repeat("k", kv.MaxKey): true, strings.Repeat("k", kv.MaxKey+1): false, "a b": false} {
		d := &driver{}
		d.reaper.init(func(string, uint64) {})
		item, ok := d.itemOf(&api.KVPair{Key: name, ModifyIndex: 3})
		if ok != want || ok && (item.Key != name || item.Value == nil || item.Revision != 3) {
			t.Errorf("%.10q of %d bytes is an item: %v, %+v, want %v", name, len(name), ok, item, want)
		}
	}
}

func TestErrorsInWords(t *testing.T) {
	for text, want := range map[string]error{
		"value exceeds 524288 byte limit": kv.ErrTooLarge, "request body too large": kv.ErrTooLarge, "No cluster leader": kv.ErrUnavailable,
		"it exceeds all": kv.ErrUnknownOutcome, "a limit": kv.ErrUnknownOutcome,
	} {
		if err := writeError(errors.New(text)); fault.KindOf(err) != fault.KindOf(want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	plain := errors.New("odd")
	for _, c := range []struct{ err, want error }{{context.Canceled, context.Canceled}, {context.DeadlineExceeded, context.DeadlineExceeded}, {fault.Mark(fault.Denied, plain), fault.Denied}, {plain, kv.ErrUnavailable}} {
		if err := unwritten(c.err); fault.KindOf(err) != fault.KindOf(c.want) || !errors.Is(err, c.err) {
			t.Errorf("%v before a write: %v, want %v", c.err, err, c.want)
		}
	}
}
