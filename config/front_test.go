package config_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

func TestLaterSourcesWinAndDeletionsAreSeen(t *testing.T) {
	base := config.NewMemory("base", map[string]any{"a": map[string]any{"x": 1, "y": 2, "l": []int{1, 2}}, "b": "base"})
	over := config.NewMemory("over", []byte(`{"a":{"x":10,"l":[3]},"c":true,"b":null}`))
	c, err := config.New(config.WithSource(base), config.WithSource(over))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check := func(want string) {
		t.Helper()
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := string(c.Snapshot().Bytes()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check(`{"a":{"l":[3],"x":10,"y":2},"c":true}`)
	if o, _ := c.Snapshot().Origin("a.y"); o.Source != "memory base" {
		t.Errorf("Origin of a.y: got %v, want memory base", o)
	}
	over.Set([]byte(`{}`)) // what it said is forgotten, also the null
	check(`{"a":{"l":[1,2],"x":1,"y":2},"b":"base"}`)
	base.Set([]byte(`{"b":"new"}`))
	check(`{"b":"new"}`)
}

func TestOriginFollowsLinesThatMoveWithoutAChangeOfValue(t *testing.T) {
	c, m := open(t, `{"a":1}`)
	before := c.Snapshot().Version()
	m.Set([]byte("\n\n{\"a\":1}"))
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, _ := c.Snapshot().Origin("a"); o.Line != 3 || c.Snapshot().Version() != before {
		t.Errorf("got line %d of version %d, want line 3 of version %d", o.Line, c.Snapshot().Version(), before)
	}
}

func TestRefusedChangesLeaveEverythingAsItWas(t *testing.T) {
	type server struct {
		Port int `min:"1"`
	}
	odd := func(_ context.Context, s *config.Snapshot) error {
		switch s.Get("odd").String("") {
		case "no":
			return errors.New("odd is no")
		case "panic":
			panic("odd is panic")
		}
		return nil
	}
	c, m := open(t, `{"server":{"port":80},"x":1}`, config.WithValidator(odd))
	b, err := config.Bind[server](c, "server")
	if err != nil {
		t.Fatal(err)
	}
	var committed, asked int
	if _, err := c.Subscribe("x", func(_ context.Context, ch config.Change) (func(), error) {
		asked++
		if ch.New.Int(0) == 13 {
			return nil, errors.New("thirteen")
		}
		return func() { committed++ }, nil
	}); err != nil {
		t.Fatal(err)
	}
	b.OnChange(func(old, new *server) { t.Errorf("OnChange(%v, %v) of a refused change", old, new) })
	for doc, want := range map[string]string{
		`{"server":{"port":"x"},"x":2}`:            `server.port: want int`,
		`{"server":{"port":0},"x":2}`:              `server.port: want a value of 1 or more`,
		`{"server":{"port":81},"x":13}`:            `refused by the subscriber of "x": thirteen`,
		`{"server":{"port":81},"x":2,"odd":"no"}`:  `refused by a validator: odd is no`,
		`{"server":{"port":81},"odd":"panic"}`:     `panic: odd is panic`,
		`{"server":{"port":81},"x":2,"odd":"no" }`: `odd is no`,
	} {
		m.Set([]byte(doc))
		err := c.Reload(t.Context())
		if !errors.Is(err, config.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want ErrDenied with %q", doc, err, want)
		}
		h := c.Health()
		if h.OK || h.Rejected == nil || h.Since.IsZero() || h.Version != 1 || h.Err() == nil {
			t.Errorf("%s: Health is %+v", doc, h)
		}
		if got := string(c.Snapshot().Bytes()); got != `{"server":{"port":80},"x":1}` {
			t.Errorf("%s: running %s", doc, got)
		}
		if b.Load().Port != 80 || committed != 1 {
			t.Errorf("%s: port %d, %d commits", doc, b.Load().Port, committed)
		}
	}
	m.Set([]byte(`{"server":{"port":80},"x":7}`))
	if err := c.Reload(t.Context()); err != nil || committed != 2 || !c.Health().OK || c.Health().Version != 2 {
		t.Errorf("after the repair: %v, %d commits, %+v", err, committed, c.Health())
	}
}

func TestWatchersGetTheStateTheNewestAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := open(t, `{"n":0,"other":1}`, config.WithDebounce(time.Millisecond))
		var got []int
		var last error
		release := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ch, err := range c.Watch(t.Context(), "n") {
				if err != nil {
					last = err
					continue
				}
				got = append(got, ch.New.Int(-1))
				if len(got) == 1 && ch.Old.Exists() {
					t.Errorf("the first change has an old value %v", ch.Old)
				}
				<-release // slow
			}
		}()
		synctest.Wait()
		for i := 1; i <= 1000; i++ {
			m.Set([]byte(fmt.Sprintf(`{"n":%d,"other":%d}`, i, i)))
			if i%10 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		close(release)
		synctest.Wait()
		if len(got) < 2 || got[0] != 0 || got[len(got)-1] != 1000 {
			t.Errorf("got %v, want 0 first and 1000 last", got)
		}
		n := len(got)
		m.Set([]byte(`{"n":1000,"other":2}`)) // another path
		time.Sleep(time.Second)
		if len(got) != n {
			t.Errorf("told of a change of another path: %v", got[n:])
		}
		c.Close()
		<-done
		if !errors.Is(last, config.ErrClosed) {
			t.Errorf("ended with %v, want ErrClosed", last)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	c, _ := open(t, `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Watch(ctx, "a") {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", last)
	}
}

func TestSteadyChangesAreAppliedAtThePaceOfTheDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := open(t, `{"n":0}`, config.WithDebounce(100*time.Millisecond))
		for i := 1; i <= 100; i++ { // one each 10 ms: never quiet
			m.Set([]byte(fmt.Sprintf(`{"n":%d}`, i)))
			time.Sleep(10 * time.Millisecond)
		}
		if v := c.Snapshot().Version(); v < 9 || v > 11 {
			t.Errorf("version %d after 1 s of changes, want about 10", v)
		}
	})
}

func TestPolledSourceIsReadAtItsIntervalAndSoonerAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &polled{Memory: config.NewMemory("p", []byte(`{"n":1}`))}
		c, err := config.New(config.WithSource(p, config.Poll(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(10*time.Minute + time.Second)
		if n := p.reads.Load(); n < 10 || n > 13 {
			t.Errorf("%d reads in 10 minutes, want about 11", n)
		}
		p.Update(config.Content{}, errAway)
		time.Sleep(time.Minute)
		h := c.Health()
		if h.OK || !errors.Is(h.Err(), config.ErrUnavailable) {
			t.Errorf("Health with the source away: %+v", h)
		}
		p.Set([]byte(`{"n":2}`))
		time.Sleep(time.Minute + time.Second)
		if !c.Health().OK || c.Get("n").Int(0) != 2 {
			t.Errorf("not recovered: %+v, n = %v", c.Health(), c.Get("n"))
		}
	})
}

// polled hides Memory's Watch.
type polled struct {
	*config.Memory
	reads atomic.Int64
	delay time.Duration
}

func (p *polled) Watch() {}

func (p *polled) Read(ctx context.Context) (config.Content, error) {
	p.reads.Add(1)
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
			return config.Content{}, ctx.Err()
		}
	}
	return p.Memory.Read(ctx)
}

func TestSlowAndDeadSourcesBoundNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &polled{Memory: config.NewMemory("slow", []byte(`{"n":1}`)), delay: time.Hour}
		start := time.Now()
		_, err := config.New(config.WithSource(slow), config.WithTimeout(3*time.Second))
		if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "memory slow") || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable of memory slow after 3s", err, time.Since(start))
		}
		start = time.Now()
		slow.delay = time.Minute
		c, err := config.New(config.WithSource(config.NewMemory("fast", []byte(`{"n":0}`))),
			config.WithSource(slow, config.Optional(), config.Timeout(2*time.Minute)))
		if err != nil || time.Since(start) > time.Second {
			t.Fatalf("New with an optional slow source: %v after %v", err, time.Since(start))
		}
		defer c.Close()
		if c.Get("n").Int(-1) != 0 || c.Health().OK {
			t.Errorf("n = %v, health %+v", c.Get("n"), c.Health())
		}
		time.Sleep(3 * time.Minute)
		if c.Get("n").Int(-1) != 1 || !c.Health().OK {
			t.Errorf("the slow source did not join: n = %v, health %+v", c.Get("n"), c.Health())
		}
	})
}

func TestReloadReportsEverySourceThatFails(t *testing.T) {
	a, b := config.NewMemory("a", []byte(`{"a":1}`)), config.NewMemory("b", []byte(`{"b":1}`))
	c, err := config.New(config.WithSource(a), config.WithSource(b, config.Optional()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a.Delete()
	b.Update(config.Content{}, errAway)
	err = c.Reload(t.Context())
	if !errors.Is(err, config.ErrNotFound) || !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("got %v, want both ErrNotFound and ErrUnavailable", err)
	}
	if c.Get("a").Int(0) != 1 || c.Get("b").Int(0) != 1 {
		t.Errorf("values went: %v", c.Snapshot())
	}
}

func TestBadArgumentsAreErrorsThatNameThem(t *testing.T) {
	m := func() config.Source { return config.NewMemory("m", []byte(`{}`)) }
	for name, opts := range map[string][]config.Option{
		"nil option": {nil}, "nil source": {config.WithSource(nil)}, "nil source option": {config.WithSource(m(), nil)},
		"poll": {config.WithPoll(0)}, "timeout": {config.WithTimeout(-1)}, "source poll": {config.WithSource(m(), config.Poll(-time.Second))},
		"same name twice": {config.WithSource(m()), config.WithSource(m())}, "validator": {config.WithValidator(nil)},
		"logger": {config.WithLogger(nil)}, "secrets": {config.WithSecrets("")}, "saved": {config.WithLastKnownGood("", 0)},
		"overlay": {config.WithOverlay(func(string) config.Source { return m() }, "a/b")}, "overlay of nothing": {config.WithOverlay(func(string) config.Source { return m() })},
		"env": {config.WithSource(config.Env(""))}, "flags": {config.WithSource(config.Flags(nil))},
		"array": {config.WithSource(config.NewMemory("x", []byte(`[1]`)))},
		"chan":  {config.WithSource(config.NewMemory("x", make(chan int)))},
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
