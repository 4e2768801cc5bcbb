package config_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

// within fails the test if f takes long: what is tested here used to hang.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		buf := make([]byte, 1<<16)
		t.Fatalf("it hangs:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

func TestSubscribersMayUseTheConfigThatCallsThem(t *testing.T) {
	nop := func(context.Context, config.Change) (func(), error) { return nil, nil }
	var cancel, other func()
	uses := map[string]func(config.Config, *config.MemorySource) error{
		"cancel itself":  func(config.Config, *config.MemorySource) error { cancel(); return nil },
		"cancel another": func(config.Config, *config.MemorySource) error { other(); return nil },
		"subscribe":      func(c config.Config, _ *config.MemorySource) error { _, err := c.Subscribe("n", nop); return err },
		"bind": func(c config.Config, _ *config.MemorySource) error {
			_, err := config.Bind[map[string]any](c, "")
			return err
		},
		"var": func(c config.Config, _ *config.MemorySource) error { _, err := config.Var(c, "n", 0); return err },
		"watch": func(c config.Config, _ *config.MemorySource) error {
			for _, err := range c.Watch(context.Background(), "n") {
				return err
			}
			return errors.New("nothing watched")
		},
		"read": func(c config.Config, _ *config.MemorySource) error {
			if c.Get("n").Int(0) == 0 || c.Snapshot().Version() == 0 || c.Health().Version == 0 {
				return errors.New("nothing read")
			}
			return nil
		},
		"set": func(_ config.Config, m *config.MemorySource) error { return m.Set([]byte(`{"n":3}`)) },
	}
	for name, use := range uses {
		for _, when := range []string{"ask", "commit", "on change"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				c, m := open(t, `{"n":1}`)
				var used error
				once := false
				do := func() {
					if c.Get("n").Int(0) == 1 && when == "ask" || c.Get("n").Int(0) == 2 && !once {
						once = true
						used = use(c, m)
					}
				}
				var err error
				other, err = c.Subscribe("n", nop)
				if err != nil {
					t.Fatal(err)
				}
				cancel, err = c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
					if when == "ask" && ch.Old.Exists() {
						do()
					}
					if when == "commit" {
						return do, nil
					}
					return nil, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if when == "on change" {
					v, err := config.Var(c, "n", 0)
					if err != nil {
						t.Fatal(err)
					}
					v.OnChange(func(int, int) { do() })
				}
				within(t, func() {
					for n := 2; n <= 4; n++ {
						m.Set([]byte(fmt.Sprintf(`{"n":%d}`, n)))
						if err := c.Reload(t.Context()); err != nil || c.Get("n").Int(0) != n && name != "set" {
							t.Errorf("n = %v after Reload, want %d; %v", c.Get("n"), n, err)
						}
					}
				})
				if !once || used != nil {
					t.Errorf("used = %v: %v", once, used)
				}
			})
		}
	}
}

func TestSubscriberThatJoinsDuringAChangeHearsOfIt(t *testing.T) {
	c, m := open(t, `{"n":1}`)
	var got []string
	joined := false
	hear := func(_ context.Context, ch config.Change) (func(), error) {
		asked := fmt.Sprintf("%v→%v", ch.Old.Int(0), ch.New.Int(0))
		return func() { got = append(got, asked) }, nil
	}
	_, err := c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
		if !ch.Old.Exists() || joined {
			return nil, nil
		}
		joined = true
		_, err := c.Subscribe("n", hear)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		for n := 2; n <= 3; n++ {
			m.Set([]byte(fmt.Sprintf(`{"n":%d}`, n)))
			if err := c.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if want := "[0→1 1→2 2→3]"; fmt.Sprint(got) != want {
		t.Errorf("heard %v, want %s", got, want)
	}
}

func TestSubscriptionsThatJoinWhileChangesComeMissNone(t *testing.T) {
	c, m := open(t, `{"n":0}`)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				last := -1
				cancel, err := c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
					if ch.Old.Exists() != (last >= 0) || last >= 0 && ch.Old.Int(-1) != last {
						t.Errorf("asked %v after %d", ch, last)
					}
					return func() { last = ch.New.Int(-1) }, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				cancel()
			}
		})
	}
	for n := 1; n <= 200; n++ {
		m.Set([]byte(fmt.Sprintf(`{"n":%d}`, n)))
		if err := c.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// How long a subscriber may take: below, at and above its time.
func TestSubscriberOverItsTimeShowsInHealthAndHoldsUpNothingElse(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		late  bool
	}{{4 * time.Second, false}, {5 * time.Second, false}, {time.Hour, true}} {
		for _, when := range []string{"ask", "commit", "validator"} {
			t.Run(fmt.Sprint(c.takes, " ", when), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { overItsTime(t, c.takes, when, c.late) })
			})
		}
	}
}

func overItsTime(t *testing.T, takes time.Duration, when string, late bool) {
	slow := func(what string) {
		if what == when {
			time.Sleep(takes) // and does not look at its context
		}
	}
	c, m := open(t, `{"slow":1,"other":1}`, config.WithValidator(func(_ context.Context, s *config.Snapshot) error {
		if s.Get("slow").Int(0) == 2 {
			slow("validator")
		}
		return nil
	}))
	_, err := c.Subscribe("slow", func(_ context.Context, ch config.Change) (func(), error) {
		if ch.New.Int(0) != 2 {
			return nil, nil
		}
		slow("ask")
		return func() { slow("commit") }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Set([]byte(`{"slow":2,"other":1}`))
	start := time.Now()
	err = c.Reload(t.Context())
	h := c.Health()
	if took := time.Since(start); took > 7*time.Second {
		t.Errorf("Reload took %v", took)
	}
	if !late {
		if err != nil || !h.OK || len(h.Late) > 0 || c.Get("slow").Int(0) != 2 {
			t.Errorf("got %v and %+v, want all well", err, h)
		}
		return
	}
	if h.OK || len(h.Late) != 1 || !strings.Contains(fmt.Sprint(h.Err()), "has not returned") {
		t.Errorf("Health doesn't say that a call is late: %+v", h)
	}
	if when != "commit" && (!errors.Is(err, config.ErrDenied) || !errors.Is(h.Rejected, context.DeadlineExceeded) || c.Get("slow").Int(0) != 1) {
		t.Errorf("got %v, rejected %v, slow = %v, want it refused", err, h.Rejected, c.Get("slow"))
	}
	if when == "commit" && (err != nil || c.Get("slow").Int(0) != 2) {
		t.Errorf("got %v, slow = %v, want it swapped", err, c.Get("slow"))
	}
	running := c.Get("slow").Int(0)
	m.Set([]byte(fmt.Sprintf(`{"slow":%d,"other":2}`, running))) // not of the late one's path
	err = c.Reload(t.Context())
	if when == "validator" { // which is asked about all
		if !errors.Is(err, config.ErrDenied) || !strings.Contains(err.Error(), "earlier call has not returned") {
			t.Errorf("another change: %v, want it refused", err)
		}
	} else if err != nil || c.Get("other").Int(0) != 2 {
		t.Errorf("another change was held up: %v, other = %v", err, c.Get("other"))
	}
	m.Set([]byte(`{"slow":3,"other":3}`))
	time.Sleep(time.Minute)
	if c.Get("slow").Int(0) == 3 {
		t.Error("asked again before the last call returned")
	}
	time.Sleep(2 * time.Hour) // it returns, and nobody has to ask for the change
	if h := c.Health(); !h.OK || len(h.Late) > 0 || c.Get("slow").Int(0) != 3 || c.Get("other").Int(0) != 3 {
		t.Errorf("after it returned: slow = %v, health %+v", c.Get("slow"), h)
	}
}

func TestCancellingAHungSubscriberLetsChangesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := open(t, `{"n":1}`)
		release := make(chan struct{})
		defer close(release)
		cancel, err := c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
			if ch.Old.Exists() {
				<-release
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Set([]byte(`{"n":2}`))
		time.Sleep(time.Minute)
		if c.Get("n").Int(0) != 1 {
			t.Error("applied without its answer")
		}
		cancel()
		if err := c.Reload(t.Context()); err != nil || c.Get("n").Int(0) != 2 {
			t.Errorf("got %v, n = %v, want 2", err, c.Get("n"))
		}
	})
}

func TestHealthCallbackThatHangsHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []uint64
		c, m := open(t, `{"n":1}`, config.WithOnHealth(func(h config.Health) {
			heard = append(heard, h.Version)
			if h.Version == 2 {
				time.Sleep(time.Hour)
			}
		}))
		for n := 2; n <= 3; n++ {
			m.Set([]byte(fmt.Sprintf(`{"n":%d}`, n)))
			time.Sleep(time.Minute)
			if c.Get("n").Int(0) != n {
				t.Errorf("n = %v, want %d", c.Get("n"), n)
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if last := heard[len(heard)-1]; last != 3 || !c.Health().OK {
			t.Errorf("heard of %v, want the newest version too", heard)
		}
	})
}

func TestReloadAndCloseFromASubscriber(t *testing.T) {
	c, m := open(t, `{"n":1}`)
	var inner error
	_, err := c.Subscribe("n", func(ctx context.Context, ch config.Change) (func(), error) {
		switch ch.New.Int(0) {
		case 2:
			inner = c.Reload(ctx)
		case 3:
			return nil, c.Close()
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		m.Set([]byte(`{"n":2}`))
		if err := c.Reload(t.Context()); err != nil || !errors.Is(inner, config.ErrInvalid) {
			t.Errorf("Reload: %v, inside %v, want ErrInvalid inside", err, inner)
		}
		m.Set([]byte(`{"n":3}`))
		if err := c.Reload(t.Context()); !errors.Is(err, config.ErrClosed) {
			t.Errorf("Reload with Close inside: %v, want ErrClosed", err)
		}
	})
}

func TestReloadThatIsGivenUpIsAppliedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &polled{MemorySource: config.Memory("p", []byte(`{"n":1}`))}
		c, err := config.New(config.WithSource(p, config.Poll(time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var saw []error
		_, err = c.Subscribe("n", func(ctx context.Context, ch config.Change) (func(), error) {
			if ch.Old.Exists() {
				time.Sleep(time.Second)
				saw = append(saw, ctx.Err())
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Set([]byte(`{"n":2}`))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := c.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		time.Sleep(time.Minute) // less than the next poll
		if h := c.Health(); c.Get("n").Int(0) != 2 || !h.OK || slices.ContainsFunc(saw, func(err error) bool { return err != nil }) {
			t.Errorf("n = %v, health %+v, the subscriber saw %v", c.Get("n"), h, saw)
		}
	})
}

func TestWatchThatEndedLeavesTheConfigUsable(t *testing.T) {
	c, m := open(t, `{"n":1}`)
	within(t, func() {
		for range c.Watch(t.Context(), "n") {
			break
		}
		if _, err := config.Var(c, "n", 0); err != nil {
			t.Error(err)
		}
		m.Set([]byte(`{"n":2}`))
		if err := c.Reload(t.Context()); err != nil || c.Get("n").Int(0) != 2 {
			t.Errorf("got %v, n = %v, want 2", err, c.Get("n"))
		}
	})
}

func TestPanicsAndExitsOfSubscribersAreErrors(t *testing.T) {
	c, m := open(t, `{"n":1}`)
	_, err := c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
		switch ch.New.Int(0) {
		case 2:
			panic("two")
		case 3:
			runtime.Goexit()
		case 4:
			return func() { panic("four") }, nil
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		for n, want := range []string{2: "panic: two", 3: "it ended its goroutine", 4: "", 5: ""} {
			if n < 2 {
				continue
			}
			m.Set([]byte(fmt.Sprintf(`{"n":%d}`, n)))
			err := c.Reload(t.Context())
			if (err == nil) != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
				t.Errorf("%d: got %v, want %q", n, err, want)
			}
			if h := c.Health(); h.OK != (n == 5) || n == 4 && !strings.Contains(h.Rejected.Error(), "panic: four") {
				t.Errorf("%d: health %+v", n, h)
			}
		}
	})
}
