package configtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

func change(t *testing.T, h *Harness) {
	h.set(`{"keep":1,"a":{"b":"x","c":"y"}}`)
	c := h.open(t)
	if got := c.Get("a.b").String(""); got != "x" {
		t.Fatalf(`a.b: got %q, want "x"`, got)
	}
	h.set(`{"keep":1,"a":{"b":"z"}}`)
	Eventually(t, h.Within, "a.b is z and a.c is gone", func() bool {
		s := c.Snapshot()
		return s.Get("a.b").String("") == "z" && !s.Get("a.c").Exists()
	})
	if got := c.Get("keep").Int(0); got != 1 {
		t.Errorf("keep: got %d, want 1", got)
	}
	if o, ok := c.Snapshot().Origin("a.b"); !ok || o.Source == "" {
		t.Errorf("Origin of a.b: got %+v, %v, want the source", o, ok)
	}
}

func burst(t *testing.T, h *Harness) {
	h.set(`{"n":0}`)
	c := h.open(t)
	const last = 50
	for i := 1; i <= last; i++ {
		h.set(fmt.Sprintf(`{"n":%d}`, i))
	}
	Eventually(t, h.Within, "the last value", func() bool { return c.Get("n").Int(0) == last })
}

func deleted(t *testing.T, h *Harness) {
	if h.Delete == nil {
		t.Skip("the document is always there")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.Delete()
	Eventually(t, h.Within, "Health says not found", func() bool {
		hl := c.Health()
		return !hl.OK && errors.Is(hl.Sources[0].Err, config.ErrNotFound) && !hl.Sources[0].Since.IsZero()
	})
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n after the document was deleted: got %d, want 1", got)
	}
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "the new document", func() bool { return c.Get("n").Int(0) == 2 && c.Health().OK })
}

func optional(t *testing.T, h *Harness) {
	if h.Delete == nil {
		t.Skip("the document is always there")
	}
	c := h.open(t, config.Optional())
	if c.Get("n").Exists() || !c.Health().OK {
		t.Fatalf("absent optional document: n %v, health %+v", c.Get("n"), c.Health())
	}
	h.set(`{"n":1}`)
	Eventually(t, h.Within, "the document appears", func() bool { return c.Get("n").Int(0) == 1 })
	h.Delete()
	Eventually(t, h.Within, "the document goes", func() bool { return !c.Get("n").Exists() && c.Health().OK })
}

func malformed(t *testing.T, h *Harness) {
	if h.Lenient {
		t.Skip("the backend holds well-formed documents only")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.Set("{[%")
	Eventually(t, h.Within, "Health says invalid", func() bool {
		hl := c.Health()
		return !hl.OK && errors.Is(hl.Sources[0].Err, config.ErrInvalid)
	})
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n with a malformed document: got %d, want 1", got)
	}
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "the repaired document", func() bool { return c.Get("n").Int(0) == 2 && c.Health().OK })
}

func odd(t *testing.T, h *Harness) {
	long := strings.Repeat("x", 100_000)
	h.set(fmt.Sprintf(`{"Case":1,"case":2,"dot.ted":{"ключ":"値 \n \"q\" \\"},"a":[1,"two",{"three":3}],"e":"","long":%q,"big":9007199254740993,"f":1.5e3,"t":true}`, long))
	c := h.open(t)
	for _, x := range []struct{ path, want string }{
		{"Case", "1"}, {"case", "2"}, {config.Path("dot.ted", "ключ"), `"値 \n \"q\" \\"`}, {"a.2.three", "3"},
		{"a", `[1,"two",{"three":3}]`}, {"e", `""`}, {"big", "9007199254740993"}, {"t", "true"},
	} {
		if got := string(c.Get(x.path).Bytes()); got != x.want {
			t.Errorf("%s: got %s, want %s", x.path, got, x.want)
		}
	}
	if got := c.Get("long").String(""); got != long {
		t.Errorf("long: got %d bytes, want %d", len(got), len(long))
	}
	if got := c.Get("f").Float64(0); got != 1500 {
		t.Errorf("f: got %v, want 1500", got)
	}
}

func two(t *testing.T, h *Harness) {
	h.set(`{"n":1}`)
	a, b := h.open(t), h.open(t)
	h.set(`{"n":2}`)
	for _, c := range []config.Config{a, b} {
		Eventually(t, h.Within, "both see the change", func() bool { return c.Get("n").Int(0) == 2 })
	}
	if a.Snapshot().Hash() != b.Snapshot().Hash() {
		t.Errorf("hashes differ: %s and %s", a.Snapshot().Hash(), b.Snapshot().Hash())
	}
}

func away(t *testing.T, h *Harness) {
	if h.Down == nil {
		t.Skip("the backend can't be made unavailable")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	before := time.Now()
	h.Down()
	Eventually(t, 30*time.Second, "Health says that the source is unavailable", func() bool { return c.Health().Sources[0].Err != nil })
	if s := c.Health().Sources[0]; s.Since.Before(before.Add(-time.Second)) || s.Since.After(time.Now()) {
		t.Errorf("Since: got %v, want between %v and now", s.Since, before)
	}
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n with the backend away: got %d, want 1", got)
	}
	if x, err := config.New(config.WithSource(h.Source()), config.WithTimeout(time.Second)); err == nil {
		x.Close()
		t.Error("New succeeded with the backend away")
	} else if !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("New with the backend away: got %v, want ErrUnavailable", err)
	}
	h.Up()
	Eventually(t, 30*time.Second, "the source recovers", func() bool { return c.Health().OK })
	h.set(`{"n":2}`)
	Eventually(t, 30*time.Second, "a change after the recovery", func() bool { return c.Get("n").Int(0) == 2 })
}

func idle(t *testing.T, h *Harness) {
	if h.Requests == nil {
		t.Skip("nobody counts requests")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "a change", func() bool { return c.Get("n").Int(0) == 2 })
	before := h.Requests()
	timer := time.NewTimer(h.Idle)
	defer timer.Stop()
	<-timer.C
	if got := h.Requests() - before; got > h.IdleRequests {
		t.Errorf("%d requests in %v without a change, want at most %d", got, h.Idle, h.IdleRequests)
	}
}
