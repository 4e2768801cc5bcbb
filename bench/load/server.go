package load

import (
	"container/heap"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/wrapper"
)

// cores that a server pretends to have.
const cores = 4

// server shares its cores between the jobs that it holds: virtual time
// advances for all jobs alike, and one ends when it has grown by its work.
type server struct {
	mu      sync.Mutex
	speed   float64
	virtual float64 // seconds of work that each job has got
	updated time.Time
	jobs    jobs
	timer   *time.Timer
}

type job struct {
	ends float64
	done chan struct{}
}

type jobs []job

func (q jobs) Len() int           { return len(q) }
func (q jobs) Less(i, j int) bool { return q[i].ends < q[j].ends }
func (q jobs) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *jobs) Push(x any)        { *q = append(*q, x.(job)) }
func (q *jobs) Pop() any {
	old := *q
	j := old[len(old)-1]
	*q = old[:len(old)-1]
	return j
}

func newServer(speed float64) *server {
	s := &server{speed: speed, updated: time.Now()}
	s.timer = time.AfterFunc(time.Hour, s.end)
	return s
}

func (s *server) rate() float64 { return s.speed * min(1, cores/float64(max(len(s.jobs), 1))) }

// advance brings the virtual time up to now, with the lock held.
func (s *server) advance() {
	now := time.Now()
	s.virtual += s.rate() * now.Sub(s.updated).Seconds()
	s.updated = now
}

// plan sets the timer to the job that ends first, with the lock held.
func (s *server) plan() {
	if len(s.jobs) > 0 {
		s.timer.Reset(time.Duration(max(s.jobs[0].ends-s.virtual, 0) / s.rate() * float64(time.Second)))
	}
}

func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	for len(s.jobs) > 0 && s.jobs[0].ends <= s.virtual+1e-9 {
		close(heap.Pop(&s.jobs).(job).done)
	}
	s.plan()
}

// work does some seconds of work.
func (s *server) work(seconds float64) {
	s.mu.Lock()
	s.advance()
	j := job{s.virtual + seconds, make(chan struct{})}
	heap.Push(&s.jobs, j)
	s.plan()
	s.mu.Unlock()
	<-j.done
}

// stall stops the server for a while, again and again.
func (s *server) stall(each, lasts time.Duration) {
	for speed := s.speed; ; {
		time.Sleep(each)
		s.set(speed / 1e6)
		time.Sleep(lasts)
		s.set(speed)
	}
}

func (s *server) set(speed float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.speed = speed
	s.plan()
}

// serve is the role of a server's process. Its arguments are its speed, and how
// long it stalls every two seconds, if it does.
func serve(args []string) error {
	speed, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLoadReport())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := newServer(speed)
	if len(args) > 1 {
		lasts, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		go s.stall(2*time.Second, lasts)
	}
	fmt.Println(l.Addr())
	return http.Serve(l, w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseFloat(r.URL.Query().Get("work"), 64)
		if err != nil {
			http.Error(rw, "bad work", http.StatusBadRequest)
			return
		}
		s.work(seconds)
	})))
}
