package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

const (
	outage    = 10 * time.Second
	perSecond = 100
	timeout   = time.Second
)

// fail is the role of a server that has outages. For each line that it reads it
// prints how many requests it has got, and then it answers as the line says: ok,
// 503, 500, cut (the connection is closed) or hang (there is no answer).
func fail([]string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var requests atomic.Int64
	var mode atomic.Value
	mode.Store("ok")
	go http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		switch mode.Load() {
		case "503":
			rw.WriteHeader(http.StatusServiceUnavailable)
		case "500":
			rw.WriteHeader(http.StatusInternalServerError)
		case "cut":
			panic(http.ErrAbortHandler)
		case "hang":
			<-r.Context().Done()
		}
	}))
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		mode.Store(in.Text())
		fmt.Println(requests.Load())
	}
	return in.Err()
}

// suffered is how an outage went.
type suffered struct {
	calls, requests int64         // in the outage
	first           time.Duration // from its end to the first good answer
	second          float64       // share of good answers among the calls that began in the second after
}

// suffer makes calls to five servers that fail all together for a while.
func suffer(b *testing.B, mode string, client *http.Client, servers []*servertest.Process) suffered {
	say := func(mode string) (requests int64) {
		for _, s := range servers {
			var n int64
			s.Send(mode)
			fmt.Sscan(s.Line(), &n)
			requests += n
		}
		return requests
	}
	var (
		wg    sync.WaitGroup
		out   suffered
		after atomic.Int64
		good  atomic.Int64
		first = make(chan time.Time, 1)
		over  atomic.Bool
		call  = func(counted bool) {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://greeter/", nil)
			resp, err := client.Do(r)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			ok := err == nil && resp.StatusCode == http.StatusOK
			if ok && over.Load() {
				select {
				case first <- time.Now():
				default:
				}
			}
			if counted {
				after.Add(1)
				if ok {
					good.Add(1)
				}
			}
		}
		load = func(d time.Duration, counted bool) (n int64) {
			for start := time.Now(); time.Since(start) < d; n++ {
				time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / perSecond)))
				wg.Go(func() { call(counted) })
			}
			return n
		}
	)
	load(5*time.Second, false)
	wg.Wait()
	before := say(mode)
	out.calls = load(outage, false)
	out.requests = say("ok") - before
	end := time.Now()
	over.Store(true)
	load(time.Second, true)
	wg.Wait()
	out.first, out.second = timeout, float64(good.Load())/float64(max(after.Load(), 1))
	select {
	case at := <-first:
		out.first = at.Sub(end)
	default:
	}
	return out
}

// BenchmarkOutage measures how much more the servers get than the callers send
// while all servers fail for ten seconds, and how fast the callers find out
// that they are well again.
func BenchmarkOutage(b *testing.B) {
	for _, kind := range []string{"ours", "ours, breakers", "ours, fail fast", "three attempts"} {
		for _, mode := range []string{"503", "500", "cut", "hang"} {
			b.Run(strings.ReplaceAll(kind, ",", "")+"/"+mode, func(b *testing.B) {
				for range b.N {
					var servers []*servertest.Process
					var addrs []string
					for range 5 {
						s := servertest.Child(b, "fail")
						servers, addrs = append(servers, s), append(addrs, s.Line())
					}
					client, done := outageClient(b, kind, addrs)
					r := suffer(b, mode, client, servers)
					done()
					for _, s := range servers {
						s.Kill()
					}
					b.ReportMetric(float64(r.requests)/float64(r.calls), "requests/call")
					b.ReportMetric(float64(r.first)/float64(time.Millisecond), "first-good-ms")
					b.ReportMetric(100*r.second, "good-in-1s-%")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func outageClient(b *testing.B, kind string, addrs []string) (client *http.Client, done func()) {
	if kind == "three attempts" {
		t := &attempts{addrs: addrs, base: &http.Transport{MaxIdleConnsPerHost: 256}}
		return &http.Client{Transport: t}, t.base.CloseIdleConnections
	}
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		b.Fatal(err)
	}
	opts := []router.Option{router.WithDiscovery(d)}
	if kind != "ours" {
		opts = append(opts, router.WithBreakers(router.Breakers{FailFast: kind == "ours, fail fast"}))
	}
	r, err := router.New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(r))
	if err != nil {
		b.Fatal(err)
	}
	return w.Client(), func() { w.Close(context.Background()); d.Close() }
}

// attempts sends a call up to three times, to one server after another, as many
// programs do.
type attempts struct {
	addrs []string
	base  *http.Transport
	next  atomic.Int64
}

func (t *attempts) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	for n := range 3 {
		one := r.Clone(r.Context())
		one.URL.Host = t.addrs[int(t.next.Add(1))%len(t.addrs)]
		if resp, err = t.base.RoundTrip(one); err == nil && (resp.StatusCode < 500 || n == 2) {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	return nil, err
}
