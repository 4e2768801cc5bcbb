package page_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
)

// unread is a source of a configuration that can't be read.
type unread struct{}

func (unread) Name() string { return "unread" }
func (unread) Read(context.Context) (config.Content, error) {
	return config.Content{}, config.ErrUnavailable
}

// An instance that is not live or not ready has failed, whatever its checks say, and a
// source that can't be read says why.
func TestWhatIsNotWellIsShown(t *testing.T) {
	shared := monitor.NewReports()
	states := map[string]struct {
		live, ready bool
		state       monitor.State
		want        string
	}{
		"well":  {true, true, monitor.Pass, "pass"},
		"warns": {true, true, monitor.Warn, "warn"},
		"dead":  {false, true, monitor.Pass, "fail"},
		"busy":  {true, false, monitor.Pass, "fail"},
	}
	for id, c := range states {
		r := monitor.Report{Status: monitor.Status{Instance: monitor.Instance{ID: id, Service: "shop"}, State: c.state, Live: c.live, Ready: c.ready}, Seq: 1, Interval: time.Hour, TTL: time.Hour}
		if err := shared.Driver().Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	mo, err1 := monitor.New(monitor.Memory(shared), monitor.WithInstance(monitor.Instance{ID: "watcher", Service: "watcher"}))
	cfg, err2 := config.New(config.WithSource(unread{}, config.Optional()), config.WithSource(config.Memory("read", map[string]int{"limit": 1})))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	pg, err := page.New(mo, page.WithConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(pg)
	defer func() {
		srv.Close()
		if err := errors.Join(pg.Close(), cfg.Close(), mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}()
	p := &parts{url: srv.URL + "/"}
	for id, c := range states {
		var got []page.Found
		for end := time.Now().Add(30 * time.Second); len(got) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			got = p.search(t, id).Found
		}
		if len(got) != 1 || got[0].Name != id || got[0].State != c.want {
			t.Errorf("%s: found %+v, want it with the state %s", id, got, c.want)
		}
	}
	var shown struct{ Sources []page.ConfigSource }
	p.get(t, "config", &shown)
	problems := map[string]bool{}
	for _, s := range shown.Sources {
		problems[s.Name] = s.Problem != ""
	}
	if len(problems) != 2 || !problems["unread"] || problems["read"] {
		t.Errorf("sources %+v, want a problem of the one that can't be read", shown.Sources)
	}
}
