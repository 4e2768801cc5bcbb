package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want target
	}{
		{"10.0.0.1", target{hosts: []string{"10.0.0.1:8500"}}},
		{"a,b:1,c", target{hosts: []string{"a:8500", "b:1", "c:8500"}}},
		{"consul://:secret@a:8500", target{hosts: []string{"a:8500"}, token: "secret"}},
		{"https://user:pass@a,b", target{hosts: []string{"a:8501", "b:8501"}, tls: true, user: "user", password: "pass"}},
	} {
		got, err := parse(c.in)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("parse(%q) = %+v, %v, want %+v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", ",", "a,", "redis://a", "a,consul://b", "http://a/path", "http://a?x=1", "a:0", "http://u:secret@a/p"} {
		if got, err := parse(in); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", in, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("parse(%q): %v shows the password", in, err)
		}
	}
}

func open(t *testing.T, c Config) *Conn {
	t.Helper()
	conn, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serve answers every request with a leader and tells what it got.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestOnlyTheGivenTokenIsSent(t *testing.T) {
	t.Setenv(api.HTTPTokenEnvName, "from-the-environment")
	t.Setenv(api.HTTPTokenFileEnvName, "/does/not/exist")
	tokens := make(chan string, 2)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("X-Consul-Token")
		fmt.Fprint(w, `"127.0.0.1:8300"`)
	})
	for _, token := range []string{"", "mine"} {
		if err := open(t, Config{Address: s.URL, Token: token}).Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-tokens; got != token {
			t.Errorf("sent token %q, want %q", got, token)
		}
	}
}

func TestDeadFirstAgentCostsNothing(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `"127.0.0.1:8300"`) })
	c := open(t, Config{Address: dead.Addr().String() + "," + strings.TrimPrefix(s.URL, "http://")})
	for range 3 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSlowDialTriesTheNextBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer([]string{"silent", "good"}, time.Minute)
		began := time.Now()
		c, err := d.race(t.Context(), func(ctx context.Context, host string) (net.Conn, error) {
			if host == "silent" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			a, b := net.Pipe()
			b.Close()
			return a, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := time.Since(began); got != stagger {
			t.Errorf("connected after %v, want %v", got, stagger)
		}
		if got := d.hosts[int(d.current.Load())%2]; got != "good" {
			t.Errorf("the next call begins with %s, want the good one", got)
		}
	})
}

func TestNoAgentIsUnavailableAlsoForWrites(t *testing.T) {
	c := open(t, Config{Address: "127.0.0.1:1,127.0.0.1:2"})
	_, err := c.KV().Put(&api.KVPair{Key: "k"}, (&api.WriteOptions{}).WithContext(t.Context()))
	if err = Write(err); !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.UnknownOutcome) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestErrorKinds(t *testing.T) {
	for _, c := range []struct {
		err         error
		read, write error
	}{
		{api.StatusError{Code: 500, Body: "No cluster leader"}, fault.Unavailable, fault.Unavailable},
		{api.StatusError{Code: 500, Body: "leadership lost while committing log"}, fault.Unavailable, fault.UnknownOutcome},
		{api.StatusError{Code: 403, Body: "Permission denied"}, fault.Denied, fault.Denied},
		{api.StatusError{Code: 401}, fault.Denied, fault.Denied},
		{api.StatusError{Code: 404}, fault.NotFound, fault.NotFound},
		{api.StatusError{Code: 413}, fault.TooLarge, fault.TooLarge},
		{api.StatusError{Code: 429}, fault.Unavailable, fault.Unavailable},
		{errors.New("EOF"), fault.Unavailable, fault.UnknownOutcome},
		{context.DeadlineExceeded, context.DeadlineExceeded, fault.UnknownOutcome},
		{context.Canceled, context.Canceled, fault.UnknownOutcome},
		{&dialError{context.Canceled}, context.Canceled, context.Canceled},
		{&dialError{errors.New("refused")}, fault.Unavailable, fault.Unavailable},
	} {
		if got := fault.KindOf(Read(c.err)); got != c.read {
			t.Errorf("Read(%v) is %v, want %v", c.err, got, c.read)
		}
		if got := fault.KindOf(Write(c.err)); got != c.write {
			t.Errorf("Write(%v) is %v, want %v", c.err, got, c.write)
		}
	}
	if Read(nil) != nil || Write(nil) != nil {
		t.Error("nil is an error")
	}
	if !Missing(fmt.Errorf("x: %w", api.StatusError{Code: 404, Body: `Unknown check ID "c"`})) || Missing(errors.New("x")) {
		t.Error("Missing is wrong")
	}
}

// script plays the answers of a server as a get function of Follow.
func script(indexes ...uint64) (get func(q *api.QueryOptions) (uint64, *api.QueryMeta, error), asked *[]uint64) {
	asked = new([]uint64)
	return func(q *api.QueryOptions) (uint64, *api.QueryMeta, error) {
		*asked = append(*asked, q.WaitIndex)
		if len(indexes) == 0 {
			return 0, nil, errors.New("end of script")
		}
		i := indexes[0]
		indexes = indexes[1:]
		return i, &api.QueryMeta{LastIndex: i}, nil
	}, asked
}

// free is a connection that has room for a blocking query.
func free() *Conn { return &Conn{held: make(chan struct{}, 1)} }

func TestFollowResumesAndStartsOverWhenTheIndexDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get, asked := script(10, 12, 12, 3, 4, 0, 0)
		var got []string
		err := Follow(t.Context(), free(), Wait, get, func(a Answer[uint64]) error {
			got = append(got, fmt.Sprintf("%d same=%t reset=%t", a.Value, a.Same, a.Reset))
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "end of script") {
			t.Errorf("ended with %v", err)
		}
		// 3 after 12 is asked for again from 0, and so is 0 after 4.
		if want := "[0 10 12 12 0 4 0 1]"; fmt.Sprint(*asked) != want {
			t.Errorf("asked with the indexes %v, want %v", *asked, want)
		}
		want := []string{"10 same=false reset=false", "12 same=false reset=false", "12 same=true reset=false", "4 same=false reset=true", "0 same=false reset=true"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestFollowIsNeverABusyLoop(t *testing.T) {
	for name, index := range map[string]func(n uint64) uint64{
		"a server that doesn't block": func(uint64) uint64 { return 7 },
		"an index that runs away":     func(n uint64) uint64 { return n },
		"an index that falls":         func(n uint64) uint64 { return 1e6 - n },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				n := uint64(0)
				Follow(ctx, free(), Wait, func(q *api.QueryOptions) (int, *api.QueryMeta, error) {
					n++
					return 0, &api.QueryMeta{LastIndex: index(n)}, nil
				}, func(Answer[int]) error { return nil })
				if n > 10+60*20*2 {
					t.Errorf("%d queries in a minute", n)
				}
				if name == "a server that doesn't block" && n > 20 {
					t.Errorf("%d queries in a minute, want at most 20", n)
				}
			})
		})
	}
}

func TestFollowGivesUpASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := Follow(t.Context(), free(), 16*time.Second, func(q *api.QueryOptions) (int, *api.QueryMeta, error) {
			if q.WaitIndex == 0 {
				return 0, &api.QueryMeta{LastIndex: 5}, nil
			}
			<-q.Context().Done()
			return 0, nil, q.Context().Err()
		}, func(Answer[int]) error { return nil })
		if got, want := time.Since(began), 22*time.Second; got != want || !errors.Is(err, fault.Unavailable) {
			t.Errorf("gave up after %v with %v, want %v and unavailable", got, err, want)
		}
	})
}

func TestFollowEndsWithItsContext(t *testing.T) {
	var asked atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("X-Consul-Index", "3")
			fmt.Fprint(w, "[]")
			return
		}
		cancel()
		<-r.Context().Done()
	})
	c := open(t, Config{Address: s.URL})
	err := Follow(ctx, c, Wait, func(q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
		return c.Health().Service("x", "", false, q)
	}, func(a Answer[[]*api.ServiceEntry]) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
