package config_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

func TestLaterSourcesWinAndDeletionsAreSeen(t *testing.T) {
	base := config.Memory("base", map[string]any{"a": map[string]any{"x": 1, "y": 2, "l": []int{1, 2}}, "b": "base"})
	over := config.Memory("over", []byte(`{"a":{"x":10,"l":[3]},"c":true,"b":null}`))
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
			t.Errorf("notified of a change of another path: %v", got[n:])
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
		p := &polled{MemorySource: config.Memory("p", []byte(`{"n":1}`))}
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

// polled hides MemorySource's Watch.
type polled struct {
	*config.MemorySource
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
	return p.MemorySource.Read(ctx)
}

func TestSlowAndDeadSourcesBoundNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &polled{MemorySource: config.Memory("slow", []byte(`{"n":1}`)), delay: time.Hour}
		start := time.Now()
		_, err := config.New(config.WithSource(slow), config.WithTimeout(3*time.Second))
		if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "memory slow") || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable of memory slow after 3s", err, time.Since(start))
		}
		start = time.Now()
		slow.delay = time.Minute
		c, err := config.New(config.WithSource(config.Memory("fast", []byte(`{"n":0}`))),
			config.WithSource(slow, config.Optional()), config.WithTimeout(2*time.Minute))
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
	a, b := config.Memory("a", []byte(`{"a":1}`)), config.Memory("b", []byte(`{"b":1}`))
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
