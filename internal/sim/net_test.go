package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

// line is a connection between two hosts.
type line struct {
	s              *Sim
	a, b           *Host
	client, server net.Conn
}

// inWorld runs f in a bubble, with a connection from a to b.
func inWorld(t *testing.T, f func(t *testing.T, l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &Sim{seed: 1}
		s.enter(t)
		l := &line{s: s, a: s.Net().Host("a"), b: s.Net().Host("b")}
		listener, err := l.b.Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		if l.client, err = l.a.DialContext(t.Context(), "tcp", l.b.Addr(80)); err != nil {
			t.Fatal(err)
		}
		if l.server, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		f(t, l)
		l.client.Close()
		l.server.Close()
		listener.Close()
	})
}

// begin makes a fault happen and returns what ends it.
func (l *line) begin(t *testing.T, f Fault) func() {
	t.Helper()
	end, err := l.s.Net().Handler(f.Kind)(f)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// arrives sends a text and returns when it has arrived, or why not within 10 s.
func arrives(from, to net.Conn, text string) (time.Duration, error) {
	start := time.Now()
	if _, err := io.WriteString(from, text); err != nil {
		return 0, err
	}
	_ = to.SetReadDeadline(start.Add(10 * time.Second))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(to, got); err != nil {
		return time.Since(start), fmt.Errorf("after %d bytes: %w", n, err)
	}
	if string(got) != text {
		return 0, fmt.Errorf("got %q, want %q", got, text)
	}
	return time.Since(start), nil
}

// TestConnKeepsTheRulesOfConns runs the suite of golang.org/x/net, in real time.
func TestConnKeepsTheRulesOfConns(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		s := &Sim{seed: 1, start: time.Now()}
		n := newNet(s)
		l, err := n.Host("b").Listen(80)
		if err != nil {
			return nil, nil, nil, err
		}
		if c1, err = n.Host("a").DialContext(t.Context(), "tcp", n.Host("b").Addr(80)); err != nil {
			return nil, nil, nil, err
		}
		c2, err = l.Accept()
		return c1, c2, func() { c1.Close(); c2.Close(); l.Close() }, err
	})
}

func TestANetworkWithoutFaultsIsFast(t *testing.T) {
	inWorld(t, func(t *testing.T, l *line) {
		for _, way := range [][2]net.Conn{{l.client, l.server}, {l.server, l.client}} {
			if took, err := arrives(way[0], way[1], strings.Repeat("x", 100_000)); err != nil || took == 0 || took > 5*time.Millisecond {
				t.Errorf("took %v, %v", took, err)
			}
		}
	})
}

// TestFaultsOfAConnection: what each fault does to the way that it is about, to
// the way back, and to both when it is over.
func TestFaultsOfAConnection(t *testing.T) {
	const never = time.Duration(-1)
	for _, c := range []struct {
		fault                Fault
		there, back, after   time.Duration // at most
		thereLeast           time.Duration
		thereErr, afterErr   error
		newConnectionWorks   bool
		whileItLastsNoneDoes bool
	}{
		{fault: Fault{Kind: Cut, From: "a", To: "b"}, there: never, back: 5 * time.Millisecond, after: 5 * time.Millisecond, whileItLastsNoneDoes: true},
		{fault: Fault{Kind: Isolate, From: "a"}, there: never, back: never, after: 5 * time.Millisecond, whileItLastsNoneDoes: true},
		{fault: Fault{Kind: Freeze, From: "b"}, there: never, back: never, after: 5 * time.Millisecond, newConnectionWorks: true},
		{fault: Fault{Kind: Delay, From: "a", To: "b", Size: 500}, there: 505 * time.Millisecond, thereLeast: 500 * time.Millisecond, back: 5 * time.Millisecond, after: 5 * time.Millisecond, newConnectionWorks: true},
		{fault: Fault{Kind: Slow, From: "a", To: "b", Size: 10}, there: 505 * time.Millisecond, thereLeast: 500 * time.Millisecond, back: 5 * time.Millisecond, after: 5 * time.Millisecond, newConnectionWorks: true},
		{fault: Fault{Kind: Lossy, From: "a", To: "b", Size: 100}, there: 10 * time.Second, thereLeast: 200 * time.Millisecond, back: 5 * time.Millisecond, after: 5 * time.Millisecond, newConnectionWorks: true},
		{fault: Fault{Kind: Forget, From: "a", To: "b"}, there: never, back: never, after: never, afterErr: os.ErrDeadlineExceeded, newConnectionWorks: true},
		{fault: Fault{Kind: Reset, From: "a", To: "b"}, there: never, thereErr: syscall.ECONNRESET, back: never, after: never, afterErr: syscall.ECONNRESET, newConnectionWorks: true},
		{fault: Fault{Kind: Reset, From: "a", To: "b", Size: 3}, there: never, thereErr: syscall.ECONNRESET, back: never, after: never, afterErr: syscall.ECONNRESET, newConnectionWorks: true},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, l *line) {
				end := l.begin(t, c.fault)
				dial := func() error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second+time.Duration(0))
					defer cancel()
					conn, err := l.a.DialContext(ctx, "tcp", l.b.Addr(80))
					if err == nil {
						conn.Close()
					}
					return err
				}
				if err := dial(); (err == nil) != c.newConnectionWorks || c.whileItLastsNoneDoes && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a new connection meanwhile: %v", err)
				}
				try := func(what string, from, to net.Conn, most time.Duration, want error) {
					took, err := arrives(from, to, "hello")
					switch {
					case most != never && (err != nil || took > most):
						t.Errorf("%s: took %v, %v, want at most %v", what, took, err, most)
					case most == never && err == nil:
						t.Errorf("%s: arrived after %v, want never", what, took)
					case want != nil && !errors.Is(err, want):
						t.Errorf("%s: %v, want %v", what, err, want)
					case what == "there" && took < c.thereLeast:
						t.Errorf("%s: took %v, want at least %v", what, took, c.thereLeast)
					}
				}
				try("there", l.client, l.server, c.there, c.thereErr)
				if c.fault.Size != 3 {
					try("back", l.server, l.client, c.back, nil)
				}
				end()
				time.Sleep(time.Second)
				if c.there == never && c.after != never { // what was held up comes first
					drain(l.server)
					drain(l.client)
				}
				try("after", l.client, l.server, c.after, c.afterErr)
				if err := dial(); err != nil {
					t.Errorf("a new connection when it is over: %v", err)
				}
			})
		})
	}
}

func drain(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, _ = io.Copy(io.Discard, c)
}

// TestAResetComesInTheMiddle: as many bytes arrive as the fault says, and no more.
func TestAResetComesInTheMiddle(t *testing.T) {
	for size, want := range map[int]int{1: 1, 4: 4, 5: 5, 6: 5} {
		inWorld(t, func(t *testing.T, l *line) {
			l.begin(t, Fault{Kind: Reset, From: "a", To: "b", Size: size})
			_, _ = io.WriteString(l.client, "hello")
			_ = l.server.SetReadDeadline(time.Now().Add(time.Second))
			got, err := io.ReadAll(l.server)
			wantErr := error(syscall.ECONNRESET)
			if size > 5 {
				wantErr = os.ErrDeadlineExceeded
			}
			if len(got) != want || !errors.Is(err, wantErr) {
				t.Errorf("reset after %d: read %q, %v", size, got, err)
			}
		})
	}
}

func TestTheEndOfAHost(t *testing.T) {
	dial := func(l *line) error {
		ctx, cancel := context.WithTimeout(l.s.Context(), time.Second)
		defer cancel()
		c, err := l.a.DialContext(ctx, "tcp", l.b.Addr(80))
		if err == nil {
			c.Close()
		}
		return err
	}
	read := func(l *line) error {
		_ = l.client.SetReadDeadline(time.Now().Add(time.Second))
		_, err := l.client.Read(make([]byte, 1))
		return err
	}
	t.Run("killed", func(t *testing.T) {
		inWorld(t, func(t *testing.T, l *line) {
			l.b.Kill()
			if err := read(l); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("its peer reads %v", err)
			}
			if err := dial(l); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("who connects gets %v", err)
			}
		})
	})
	t.Run("killed behind a cut", func(t *testing.T) {
		inWorld(t, func(t *testing.T, l *line) {
			end := l.begin(t, Fault{Kind: Cut, From: "b", To: "a"})
			l.b.Kill()
			if err := read(l); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("its peer reads %v while nothing arrives", err)
			}
			end()
			if err := read(l); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("its peer reads %v when the cut is over", err)
			}
		})
	})
	t.Run("crashed", func(t *testing.T) {
		inWorld(t, func(t *testing.T, l *line) {
			l.b.Crash()
			if err := read(l); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("its peer reads %v", err)
			}
			if err := dial(l); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who connects gets %v", err)
			}
			l.b.Boot()
			if err := read(l); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("its peer, which has sent nothing, reads %v when it is back", err)
			}
			if err := dial(l); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("who connects when it is back gets %v", err)
			}
			_, _ = io.WriteString(l.client, "still there?")
			if err := read(l); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("its peer, which has sent something, reads %v", err)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		inWorld(t, func(t *testing.T, l *line) {
			_, _ = io.WriteString(l.server, "bye")
			l.server.Close()
			if got, err := io.ReadAll(l.client); string(got) != "bye" || err != nil {
				t.Errorf("its peer reads %q, %v", got, err)
			}
			_, _ = io.WriteString(l.client, "hello?")
			time.Sleep(10 * time.Millisecond)
			if _, err := io.WriteString(l.client, "hello?"); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("its peer writes and gets %v", err)
			}
		})
	})
}

// TestAWriterWaitsForAReader: a window is on its way, and no more.
func TestAWriterWaitsForAReader(t *testing.T) {
	inWorld(t, func(t *testing.T, l *line) {
		_ = l.client.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := l.client.Write(make([]byte, window+1))
		if n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v, want %d", n, err, window)
		}
		_ = l.client.SetWriteDeadline(time.Time{})
		wrote := make(chan error)
		go func() { _, err := l.client.Write(make([]byte, window)); wrote <- err }()
		if _, err := io.ReadFull(l.server, make([]byte, 2*window)); err != nil {
			t.Error(err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

// talk is a world of three HTTP servers that ask each other. Whatever a client
// sees is logged.
func talk(s *Sim) {
	names := []string{"a", "b", "c"}
	var servers []*http.Server
	var serving, asking sync.WaitGroup
	for _, name := range names {
		l, err := s.Net().Host(name).Listen(80)
		if err != nil {
			s.Failf("%v", err)
			return
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})}
		servers = append(servers, server)
		serving.Go(func() { _ = server.Serve(l) })
	}
	ctx, stop := context.WithCancel(s.Context())
	for _, name := range names {
		host, dice := s.Net().Host(name), s.Dice(name)
		client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: host.DialContext}}
		asking.Go(func() {
			defer client.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				other := names[dice.IntN(len(names))]
				body := strings.Repeat("x", dice.IntN(40_000))
				resp, err := client.Post("http://"+s.Net().Host(other).Addr(80), "text/plain", strings.NewReader(body))
				n := 0
				if err == nil {
					var got []byte
					got, err = io.ReadAll(resp.Body)
					n = len(got)
					resp.Body.Close()
				}
				s.Logf("%s asks %s for %d: %d, %v", name, other, len(body), n, err)
				time.Sleep(time.Duration(dice.Int64N(int64(200 * time.Millisecond))))
			}
		})
	}
	s.Play()
	time.Sleep(time.Second) // a run without faults would be over as it begins, before some have asked and after others
	stop()
	asking.Wait()
	for _, server := range servers {
		server.Close()
	}
	serving.Wait()
}

// TestASeedIsOneRun: two runs of a seed have the same history, to the nanosecond, and
// another seed has another.
func TestASeedIsOneRun(t *testing.T) {
	w := &World{Run: talk, Mix: Mix{
		Nodes: []string{"a", "b", "c"}, Kinds: []Kind{Cut, Isolate, Freeze, Delay, Slow, Lossy, Reset, Forget},
		Max: 20, During: 10 * time.Second, Longest: 5 * time.Second,
	}}
	var last []string
	failed := 0
	for seed := uint64(1); seed <= 6; seed++ {
		one, two := w.play(t, seed, w.faults(seed)), w.play(t, seed, w.faults(seed))
		for _, o := range []outcome{one, two} {
			if o.failed() {
				t.Fatalf("seed %d: %q", seed, o.failures)
			}
		}
		// Those who do something at the same nanosecond may be logged in either order.
		slices.Sort(one.log)
		slices.Sort(two.log)
		for i := range min(len(one.log), len(two.log)) {
			if one.log[i] != two.log[i] {
				t.Fatalf("seed %d:\n%s\nand then\n%s", seed, one.log[i], two.log[i])
			}
			if !strings.HasSuffix(one.log[i], "<nil>") {
				failed++
			}
		}
		if len(one.log) != len(two.log) || slices.Equal(one.log, last) {
			t.Errorf("seed %d: %d lines, then %d", seed, len(one.log), len(two.log))
		}
		last = one.log
	}
	if failed == 0 {
		t.Error("no fault did anything")
	}
}
