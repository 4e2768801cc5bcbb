package wrapper_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// chaosServer is the role of a server that does as it is told on standard
// input: "well", "slow" (20 times), "errors" (30 of 100), "hole" (no answer),
// "outage" (refuses all), "die" (kill -9 in the middle of the next POST). Its
// arguments are its port and a file, to which it appends the id of each POST
// before anything can happen to it.
func chaosServer(args []string) error {
	done, err := os.OpenFile(args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	var mode atomic.Value
	mode.Store("well")
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			mode.Store(in.Text())
		}
	}()
	w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLoadReport())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		now := mode.Load()
		if now == "outage" || now == "errors" && rand.IntN(100) < 30 {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		if r.Method == http.MethodPost {
			fmt.Fprintln(done, r.Header.Get("X-Id"))
			if now == "die" {
				self.Kill()
				select {} // until it takes effect
			}
		}
		took := 2 * time.Millisecond
		switch now {
		case "slow":
			took *= 20
		case "hole":
			<-r.Context().Done()
			return // without an answer, which must not become an empty one
		}
		<-time.After(took)
		io.WriteString(rw, "done")
	})))
}

// tallied is what a client of the chaos saw.
type tallied struct {
	Gets, Posts int
	Failed      []failure // GETs
	Late        []failure // calls that ended later than their deadline allows
	Done        []string  // the ids of POSTs that were answered well
	Refused     []string  // POSTs that failed although no server had accepted their connection
	Empty       int       // answers of 200 without the body

	// What shows that the faults were felt:
	Turned  int // POSTs whose connection was refused, and that another instance did
	Cut     int // POSTs that were sent, and broke
	Rescued int // GETs answered by another instance while one said nothing

	Lag time.Duration // the greatest of all
}

type failure struct {
	Start, End time.Time
	Lag        time.Duration // by how much the machine kept the client waiting, at the most, while it lasted
	Why        string
}

func (f failure) String() string {
	return fmt.Sprintf("%v, %v: %s", f.End.Format("05.000"), f.End.Sub(f.Start), f.Why)
}

// pulse is how late a goroutine came that has nothing to do but to wake up.
type pulse struct {
	due time.Time
	lag time.Duration
}

// lag is the greatest one from start to end.
func lag(all []pulse, start, end time.Time) (most time.Duration) {
	for _, p := range all {
		if p.due.Before(end) && p.due.Add(p.lag).After(start) {
			most = max(most, p.lag)
		}
	}
	return most
}

// chaosDeadline is that of each call, and rescue the time after which a second
// instance is asked: half of it.
const (
	chaosDeadline = time.Second
	rescue        = chaosDeadline / 2
)

// refusals counts the attempts of a call whose connections were refused.
type refusals struct{}

type refusedKey struct{}

func (refusals) Begin(ctx context.Context, _ *wrapper.Call) context.Context           { return ctx }
func (refusals) End(context.Context, *wrapper.Call)                                   {}
func (refusals) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context { return ctx }
func (refusals) EndAttempt(ctx context.Context, a *wrapper.Attempt) {
	if errors.Is(a.Err, syscall.ECONNREFUSED) {
		ctx.Value(refusedKey{}).(*atomic.Int64).Add(1)
	}
}

// chaosClient is the role of a client that makes calls until it is told "end":
// only of GET or POST after "GET" or "POST", else of both in turn. Its arguments
// are its name and the servers. Its wrapper has its defaults.
func chaosClient(args []string) error {
	d, err := discovery.New(static.Backend(static.Addresses("greeter", args[1:]...)...))
	if err != nil {
		return err
	}
	r, err := router.New(router.WithDiscovery(d), router.WithClient(args[0]))
	if err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(r), wrapper.WithObserver(refusals{}))
	if err != nil {
		return err
	}
	var (
		mu  sync.Mutex
		all tallied
		wg  sync.WaitGroup
	)
	ended := make(chan struct{})
	var only atomic.Value
	only.Store("both")
	go func() {
		defer close(ended)
		for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "end"; {
			only.Store(in.Text())
		}
	}()
	fmt.Println("calling")
	const every = 10 * time.Millisecond
	tick := time.NewTicker(every)
	var pulses []pulse
	for n := 0; ; n++ {
		due := time.Now().Add(every)
		select {
		case <-ended:
			wg.Wait()
			all.Lag = lag(pulses, time.Time{}, time.Now())
			for _, list := range [][]failure{all.Failed, all.Late} {
				for i, f := range list {
					list[i].Lag = lag(pulses, f.Start, f.End)
				}
			}
			return json.NewEncoder(os.Stdout).Encode(all)
		case <-tick.C:
		}
		pulses = append(pulses, pulse{due, time.Since(due)})
		method := only.Load().(string)
		if method == "both" {
			method = [...]string{http.MethodGet, http.MethodPost}[n%2]
		}
		wg.Go(func() {
			var refused atomic.Int64
			ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), refusedKey{}, &refused), chaosDeadline)
			defer cancel()
			id := fmt.Sprintf("%s-%d", args[0], n)
			q, _ := http.NewRequestWithContext(ctx, method, "http://greeter/", nil)
			q.Header.Set("X-Id", id)
			start := time.Now()
			body, err := answered(w.Client(), q)
			f := failure{Start: start, End: time.Now(), Why: fmt.Sprintf("%s: %v", method, err)}
			mu.Lock()
			defer mu.Unlock()
			if f.End.Sub(start) > chaosDeadline+100*time.Millisecond {
				all.Late = append(all.Late, f)
			}
			if err == nil && body != "done" {
				all.Empty++
			}
			if method == http.MethodGet {
				all.get(f, err)
			} else {
				all.post(id, refused.Load() > 0, err)
			}
		})
	}
}

func (all *tallied) get(f failure, err error) {
	all.Gets++
	if err != nil {
		all.Failed = append(all.Failed, f)
	} else if f.End.Sub(f.Start) >= rescue {
		all.Rescued++
	}
}

func (all *tallied) post(id string, refused bool, err error) {
	all.Posts++
	switch {
	case err == nil:
		all.Done = append(all.Done, id)
		if refused {
			all.Turned++
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		all.Refused = append(all.Refused, fmt.Sprintf("%s: %v", id, err))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		all.Cut++
	}
}

func (all *tallied) add(one tallied) {
	all.Gets, all.Posts, all.Empty = all.Gets+one.Gets, all.Posts+one.Posts, all.Empty+one.Empty
	all.Turned, all.Cut, all.Rescued = all.Turned+one.Turned, all.Cut+one.Cut, all.Rescued+one.Rescued
	all.Failed, all.Done = append(all.Failed, one.Failed...), append(all.Done, one.Done...)
	all.Refused, all.Late = append(all.Refused, one.Refused...), append(all.Late, one.Late...)
}

// answered makes a call and returns its good answer.
func answered(c *http.Client, q *http.Request) (string, error) {
	resp, err := c.Do(q)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = errors.New(resp.Status)
	}
	return string(b), err
}
