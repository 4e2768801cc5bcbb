package monitor_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
)

func TestProbesOfOneCheckAndWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := monitor.New()
		if err != nil {
			t.Fatal(err)
		}
		defer mo.Close(context.Background())
		fails := func(context.Context) error { return errors.New("refused") }
		passes := func(context.Context) error { return nil }
		for _, c := range []monitor.Check{
			{Name: "database", Func: fails}, {Name: "cache", Func: passes}, {Name: "mail", Func: fails, Severity: monitor.Soft},
			{Name: "version", Func: fails, Probe: monitor.Info}, {Name: "migration/v2", Func: passes, Probe: monitor.Startup},
		} {
			if err := mo.Register(c); err != nil {
				t.Fatal(err)
			}
		}
		mo.Liveness("worker", time.Second)
		beat := mo.Liveness("poller", time.Hour)
		time.Sleep(2 * time.Second)
		beat()
		for path, want := range map[string]int{
			"/readyz": 503, "/readyz?exclude=database": 200, "/readyz?exclude=cache": 503, "/readyz?exclude=cache&exclude=database": 200, "/readyz?exclude=nothing": 503,
			"/readyz/database": 503, "/readyz/cache": 200, "/readyz/mail": 200, "/readyz/migration/v2": 200, "/readyz/version": 404, "/readyz/worker": 404, "/readyz/nothing": 404,
			"/healthz/database": 503, "/healthz/cache": 200,
			"/livez": 503, "/livez?exclude=worker": 200, "/livez/worker": 503, "/livez/poller": 200, "/livez/database": 404,
			"/startupz": 200, "/startupz/migration/v2": 200, "/startupz/database": 404,
		} {
			w := httptest.NewRecorder()
			mo.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
		mo.SetPhase(monitor.Draining)
		for path, want := range map[string]int{"/readyz?exclude=database": 503, "/readyz/cache": 200} {
			w := httptest.NewRecorder()
			mo.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("while it drains, %s: %d, want %d", path, w.Code, want)
			}
		}
	})
}

// A process that begins well tells no change, one that begins badly tells one.
func TestChangesAreChanges(t *testing.T) {
	for name, c := range map[string]struct {
		first error
		later error
		want  []string
	}{
		"well":                {nil, nil, nil},
		"well, then not":      {nil, errors.New("refused"), []string{"pass true → fail false"}},
		"not well, then well": {errors.New("refused"), nil, []string{"pass true → fail false", "fail false → pass true"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var got []string
				say := func(s monitor.Status) string {
					return s.State.String() + map[bool]string{true: " true", false: " false"}[s.Ready]
				}
				mo, err := monitor.New(monitor.WithOnChange(func(old, new monitor.Status) {
					if mu.Lock(); say(old) != say(new) {
						got = append(got, say(old)+" → "+say(new))
					}
					mu.Unlock()
				}))
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				for _, name := range []string{"database", "queue"} {
					if err := mo.Register(monitor.Check{Name: name, Func: func(context.Context) error {
						time.Sleep(time.Second) // its first result takes a while
						if time.Since(begin) < 30*time.Second {
							return c.first
						}
						return c.later
					}}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				mu.Lock()
				if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || len(got) > 1 && got[1] != c.want[1] {
					t.Errorf("got %q, want %q", got, c.want)
				}
				mu.Unlock()
				if err := mo.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A process that was heard under a random id and then got the id of its
// registration is one instance, for those who were there before and for those
// who come later.
func TestIdentifyLeavesOneInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := monitor.NewReports()
		open := func(opts ...monitor.Option) monitor.Monitor {
			mo, err := monitor.New(append(opts, monitor.Memory(shared))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { mo.Close(context.Background()) })
			return mo
		}
		first := open(monitor.WithService("edge"))
		mo := open(monitor.WithService("orders"))
		named := open(monitor.WithInstance(monitor.Instance{ID: "own", Service: "named"}))
		time.Sleep(time.Second)
		mo.Identify(monitor.Instance{ID: "orders-1", Service: "other", Address: "10.0.0.1:80"})
		named.Identify(monitor.Instance{ID: "another", Zone: "eu-1"})
		time.Sleep(time.Second)
		later := open(monitor.WithService("late"))
		time.Sleep(time.Minute)
		for name, seen := range map[string]monitor.Monitor{"who was there before": first, "who came later": later, "itself": mo} {
			v := seen.Cluster().View("orders")
			if len(v.Members) != 1 || v.Members[0].Status.Instance != (monitor.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.1:80"}) {
				t.Errorf("%s: %+v", name, v.Members)
			}
			if v := seen.Cluster().View("named"); len(v.Members) != 1 || v.Members[0].Status.Instance != (monitor.Instance{ID: "own", Service: "named", Zone: "eu-1"}) {
				t.Errorf("%s: %+v", name, v.Members)
			}
		}
		for _, mo := range []monitor.Monitor{first, mo, named, later} {
			mo.Close(context.Background())
		}
	})
}
