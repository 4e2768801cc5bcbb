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
	"path/filepath"
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

// chaosServer is the role of a server that does as it is told on standard
// input: "well", "slow" (20 times), "errors" (30 of 100), "hole" (no answer),
// "outage" (refuses all). Its arguments are its port and a file, to which it
// appends the id of each POST that it does.
func chaosServer(args []string) error {
	done, err := os.OpenFile(args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
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
		took := 2 * time.Millisecond
		switch mode.Load() {
		case "slow":
			took *= 20
		case "errors":
			if rand.IntN(100) < 30 {
				http.Error(rw, "no", http.StatusServiceUnavailable)
				return
			}
		case "outage":
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		case "hole":
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // no answer, not even an empty one
		}
		<-time.After(took)
		if r.Method == http.MethodPost {
			fmt.Fprintln(done, r.Header.Get("X-Id"))
		}
		io.WriteString(rw, "done")
	})))
}

// tallied is what a client of the chaos saw.
type tallied struct {
	Gets, Posts, PostsFailed int
	Failed                   []failure // GETs
	Empty                    int       // answers of 200 without the body
	Late                     []string  // calls that ended later than their deadline allows
}

type failure struct {
	At  time.Time // when it ended
	Why string
}

// chaosDeadline is that of each call.
const chaosDeadline = time.Second

// chaosClient is the role of a client that calls until it is told to end. Its
// arguments are its name and the servers.
func chaosClient(args []string) error {
	d, err := discovery.New(static.Backend(static.Addresses("greeter", args[1:]...)...))
	if err != nil {
		return err
	}
	r, err := router.New(router.WithDiscovery(d), router.WithClient(args[0]))
	if err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(r))
	if err != nil {
		return err
	}
	var (
		mu  sync.Mutex
		all tallied
		wg  sync.WaitGroup
		lag atomic.Int64 // how late the newest ticks were: the machine's, not ours
	)
	ended := make(chan struct{})
	go func() { bufio.NewReader(os.Stdin).ReadString('\n'); close(ended) }()
	fmt.Println("calling")
	tick := time.NewTicker(10 * time.Millisecond)
	for n, last := 0, time.Now(); ; n++ {
		select {
		case <-ended:
			wg.Wait()
			return json.NewEncoder(os.Stdout).Encode(all)
		case <-tick.C:
		}
		lag.Store(max(int64(time.Since(last)-10*time.Millisecond), lag.Load()*99/100))
		last = time.Now()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), chaosDeadline)
			defer cancel()
			method := http.MethodGet
			if n%3 == 0 {
				method = http.MethodPost
			}
			q, _ := http.NewRequestWithContext(ctx, method, "http://greeter/", nil)
			q.Header.Set("X-Id", fmt.Sprintf("%s-%d", args[0], n))
			start := time.Now()
			body, err := answered(w.Client(), q)
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if allowed := chaosDeadline + 100*time.Millisecond + time.Duration(lag.Load()); took > allowed {
				all.Late = append(all.Late, fmt.Sprintf("%s took %v, allowed %v: %v", method, took, allowed, err))
			}
			switch {
			case method == http.MethodPost:
				if all.Posts++; err != nil {
					all.PostsFailed++
				}
			default:
				if all.Gets++; err != nil {
					all.Failed = append(all.Failed, failure{time.Now(), err.Error()})
				}
			}
			if err == nil && body != "done" {
				all.Empty++
			}
		})
	}
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

// Five servers and three clients, each a process, and one fault after the
// other. While another instance can answer, no idempotent call fails; no POST
// is done twice; and no call outlives its deadline.
func TestNothingIsLostOrDoneTwiceUnderChaos(t *testing.T) {
	length := servertest.Chaos(t)
	dir := t.TempDir()
	servers, addrs, ports := make([]*servertest.Process, 5), make([]string, 5), make([]string, 5)
	file := func(i int) string { return filepath.Join(dir, fmt.Sprint("done", i)) }
	for i := range servers {
		ports[i] = fmt.Sprint(servertest.Port(t))
		servers[i] = servertest.Child(t, "chaos server", ports[i], file(i))
		addrs[i] = servers[i].Line()
	}
	var clients []*servertest.Process
	for i := range 3 {
		clients = append(clients, servertest.Child(t, "chaos client", append([]string{fmt.Sprint("client", i)}, addrs...)...))
	}
	for _, c := range clients {
		c.Line()
	}
	rest := func(d time.Duration) { <-time.After(d) }
	told := func(mode string, each ...int) {
		for _, i := range each {
			servers[i].Send(mode)
		}
	}
	var outages [][2]time.Time
	faults := []func(i int, d time.Duration){
		func(i int, d time.Duration) {
			servers[i].Kill()
			rest(d)
			servers[i] = servertest.Child(t, "chaos server", ports[i], file(i))
			servers[i].Line()
		},
		func(i int, d time.Duration) { servers[i].Pause(); rest(d); servers[i].Resume() },
		func(i int, d time.Duration) { told("slow", i); rest(d); told("well", i) },
		func(i int, d time.Duration) { told("errors", i); rest(d); told("well", i) },
		func(i int, d time.Duration) { told("hole", i); rest(d); told("well", i) },
		func(_ int, d time.Duration) { // nobody can answer
			start := time.Now()
			told("outage", 0, 1, 2, 3, 4)
			rest(d)
			told("well", 0, 1, 2, 3, 4)
			outages = append(outages, [2]time.Time{start, time.Now()})
		},
	}
	rest(time.Second) // what is usual is learnt
	each := max(length/time.Duration(2*len(faults)), 250*time.Millisecond)
	for n, end := 0, time.Now().Add(length); n < len(faults) || time.Now().Before(end); n++ {
		faults[n%len(faults)](rand.IntN(5), min(each, 2*time.Second))
		rest(min(each, time.Second))
	}
	var sum tallied
	for i, c := range clients {
		c.Send("end")
		var one tallied
		if err := json.Unmarshal([]byte(c.Line()), &one); err != nil {
			t.Fatal(err)
		}
		t.Logf("client %d: %d GETs, %d failed; %d POSTs, %d failed", i, one.Gets, len(one.Failed), one.Posts, one.PostsFailed)
		sum.Gets, sum.Posts, sum.Empty = sum.Gets+one.Gets, sum.Posts+one.Posts, sum.Empty+one.Empty
		sum.Failed, sum.Late = append(sum.Failed, one.Failed...), append(sum.Late, one.Late...)
	}
	failed := 0
	for _, f := range sum.Failed {
		excused := false
		for _, o := range outages { // and a little longer: breakers and ejections have to notice its end
			excused = excused || f.At.After(o[0]) && f.At.Before(o[1].Add(chaosDeadline))
		}
		if !excused {
			failed++
			t.Logf("%v: %s", f.At.Format("05.000"), f.Why)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d idempotent calls failed while another instance could answer", failed, sum.Gets)
	}
	if sum.Empty > 0 {
		t.Errorf("%d answers were 200 and empty", sum.Empty)
	}
	if len(sum.Late) > 0 {
		t.Errorf("%d calls outlived their deadline:\n%s", len(sum.Late), strings.Join(sum.Late, "\n"))
	}
	done := map[string]int{}
	for i := range servers {
		b, err := os.ReadFile(file(i))
		if err != nil {
			t.Fatal(err)
		}
		for id := range strings.FieldsSeq(string(b)) {
			done[id]++
		}
	}
	for id, n := range done {
		if n > 1 {
			t.Errorf("POST %s was done %d times", id, n)
		}
	}
	if sum.Gets < 100 || len(done) < 50 {
		t.Errorf("%d GETs and %d POSTs: too few to show anything", sum.Gets, len(done))
	}
}
