package config_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

func TestBadArgumentsAreErrorsThatNameThem(t *testing.T) {
	m := func() config.Source { return config.Memory("m", []byte(`{}`)) }
	for name, opts := range map[string][]config.Option{
		"nil option": {nil}, "nil source": {config.WithSource(nil)}, "nil source option": {config.WithSource(m(), nil)},
		"timeout": {config.WithTimeout(-1)}, "source poll": {config.WithSource(m(), config.Poll(-time.Second))},
		"same name twice": {config.WithSource(m()), config.WithSource(m())}, "validator": {config.WithValidator(nil)},
		"logger": {config.WithLogger(nil)}, "secrets": {config.WithSecrets("")}, "saved": {config.WithLastKnownGood("", 0)},
		"overlay": {config.WithOverlay(func(string) config.Source { return m() }, "a/b")}, "overlay of nothing": {config.WithOverlay(func(string) config.Source { return m() })},
		"env": {config.WithSource(config.Env(""))}, "flags": {config.WithSource(config.Flags(nil))},
		"array": {config.WithSource(config.Memory("x", []byte(`[1]`)))},
		"chan":  {config.WithSource(config.Memory("x", make(chan int)))},
	} {
		c, err := config.New(opts...)
		if !errors.Is(err, config.ErrInvalid) || !strings.HasPrefix(err.Error(), "config: new: ") {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if err == nil {
			c.Close()
		}
	}
	c, _ := open(t, `{}`)
	if _, err := c.Subscribe("a", nil); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("nil subscriber: got %v", err)
	}
	if _, err := config.Bind[struct{}](nil, ""); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("nil Config: got %v", err)
	}
	if _, err := config.Bind[struct{}](c, "", nil); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("nil option: got %v", err)
	}
	if _, err := config.Bind[chan int](c, ""); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("channel: got %v", err)
	}
}

func TestCloseIsIdempotentAndKeepsTheLastSnapshot(t *testing.T) {
	c, m := open(t, `{"n":1}`)
	b, err := config.Bind[struct{ N int }](c, "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m.Set([]byte(`{"n":2}`))
	if c.Get("n").Int(0) != 1 || b.Load().N != 1 {
		t.Errorf("after Close: n = %v, bound %d, want 1", c.Get("n"), b.Load().N)
	}
	if err := c.Reload(t.Context()); !errors.Is(err, config.ErrClosed) {
		t.Errorf("Reload: got %v, want ErrClosed", err)
	}
	if _, err := config.Bind[struct{ N int }](c, ""); !errors.Is(err, config.ErrClosed) {
		t.Errorf("Bind: got %v, want ErrClosed", err)
	}
	for _, err := range c.Watch(t.Context(), "n") {
		if !errors.Is(err, config.ErrClosed) {
			t.Errorf("Watch: got %v, want ErrClosed", err)
		}
	}
}

func TestReadersNeverSeeHalfAChange(t *testing.T) {
	type pair struct{ A, B int }
	c, m := open(t, `{"a":0,"b":0}`)
	b, err := config.Bind[pair](c, "")
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				s := c.Snapshot()
				if x, y := s.Get("a").Int(-1), s.Get("b").Int(-2); x != y {
					t.Errorf("snapshot with a = %d, b = %d", x, y)
				}
				if p := b.Load(); p.A != p.B {
					t.Errorf("bound %+v", *p)
				}
				c.Health()
			}
		})
	}
	for i := range 300 {
		m.Set([]byte(fmt.Sprintf(`{"a":%d,"b":%d}`, i, i)))
		if err := c.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if got := b.Load().A; got != i {
			t.Errorf("after Reload: bound %d, want %d", got, i)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestOnChangeHearsEveryChangeInOrderUntilItIsRemoved(t *testing.T) {
	c, m := open(t, `{"n":0}`)
	v, err := config.Var(c, "n", -1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	remove := v.OnChange(func(old, new int) { got = append(got, fmt.Sprintf("%d→%d", old, new)) })
	set := func(doc string) {
		t.Helper()
		m.Set([]byte(doc))
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	set(`{"n":1}`)
	set(`{}`)
	set(`{"n":2}`)
	remove()
	set(`{"n":3}`)
	if want := "[0→1 1→-1 -1→2]"; fmt.Sprint(got) != want || v.Load() != 3 {
		t.Errorf("got %v and %d, want %s and 3", got, v.Load(), want)
	}
	v.Close()
	set(`{"n":"not an int any more"}`)
	if v.Load() != 3 {
		t.Errorf("after Close: %d, want 3", v.Load())
	}
}

func TestBoundTypesMayValidateThemselves(t *testing.T) {
	c, m := open(t, `{"low":1,"high":2}`)
	b, err := config.Bind[span](c, "")
	if err != nil {
		t.Fatal(err)
	}
	m.Set([]byte(`{"low":3,"high":2}`))
	if err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "low is above high") || b.Load().Low != 1 {
		t.Errorf("got %v and %+v", err, b.Load())
	}
}

type span struct{ Low, High int }

func (s *span) Validate() error {
	if s.Low > s.High {
		return errors.New("low is above high")
	}
	return nil
}

func TestBindMarksItsSecretsForAllOutputs(t *testing.T) {
	c, _ := open(t, `{"mail":{"account":"hunter2","hosts":[{"pin":"hunter2"}]}}`)
	if !strings.Contains(c.Snapshot().String(), "hunter2") {
		t.Fatal("redacted before anybody said so")
	}
	_, err := config.Bind[struct {
		Account config.Secret
		Hosts   []struct {
			Pin string `config:"pin,secret"`
		}
	}](c, "mail")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Snapshot().String(); strings.Contains(s, "hunter2") {
		t.Errorf("shows secrets: %s", s)
	}
}

func TestHealthIsToldToACallback(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	note := func(h config.Health) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprintf("v%d ok=%v", h.Version, h.OK))
	}
	c, m := open(t, `{"n":1}`, config.WithOnHealth(note))
	m.Update(config.Content{}, errAway)
	c.Reload(t.Context())
	m.Set([]byte(`{"n":2}`))
	c.Reload(t.Context())
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(heard, ", "); !strings.HasPrefix(got, "v1 ok=true, v1 ok=false, v1 ok=true") && !strings.HasPrefix(got, "v1 ok=true, v1 ok=false, v2 ok=true") {
		t.Errorf("heard %s", got)
	}
}
