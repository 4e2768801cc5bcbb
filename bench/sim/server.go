package sim

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// server shares its cores between the jobs that it holds. It keeps a virtual
// time that every job advances in at the same rate, so that a job ends when the
// virtual time has grown by its work.
type server struct {
	w     *world
	cores float64
	speed float64
	fails float64 // share of requests that it fails at once
	limit int     // how many it takes at a time; 0: any number
	cold  int     // calls until it is warm

	version int     // how often it was replaced
	calls   float64 // that were sent to it after the warm-up
	coming  int     // under way to it

	virtual float64 // seconds of work that each job has got
	updated time.Duration
	jobs    jobs
	epoch   uint64 // of the scheduled end; older ones are void

	ended [64]sample // the last jobs
	next  int
}

// sample is a job that has ended: how many there were when it came, and what it took.
type sample struct {
	jobs int
	took time.Duration
}

// latency is what a server says a request takes now: the median of the samples
// whose loads were most like this one, or the median age of the jobs that it
// holds, if that is more: what has ended under overload was what is short.
func (s *server) latency() time.Duration {
	var near []sample
	for _, e := range s.ended {
		if e.took > 0 {
			near = append(near, e)
		}
	}
	if len(near) == 0 {
		return 0
	}
	now := len(s.jobs)
	slices.SortFunc(near, func(a, b sample) int { return cmp.Compare(max(a.jobs-now, now-a.jobs), max(b.jobs-now, now-b.jobs)) })
	near = near[:min(len(near), 15)]
	slices.SortFunc(near, func(a, b sample) int { return cmp.Compare(a.took, b.took) })
	took := near[len(near)/2].took
	if now == 0 {
		return took
	}
	ages := make([]time.Duration, 0, now)
	for _, j := range s.jobs {
		ages = append(ages, s.w.now-j.came)
	}
	slices.Sort(ages)
	return max(took, ages[now/2])
}

type job struct {
	ends  float64 // in virtual time
	came  time.Duration
	done  func()
	index int
}

type jobs []*job

func (q jobs) Len() int           { return len(q) }
func (q jobs) Less(i, j int) bool { return q[i].ends < q[j].ends }
func (q jobs) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }
func (q *jobs) Push(x any)        { j := x.(*job); j.index = len(*q); *q = append(*q, j) }
func (q *jobs) Pop() any {
	old := *q
	j := old[len(old)-1]
	j.index = -1
	*q = old[:len(old)-1]
	return j
}

// rate is how fast each job advances when there are n of them.
func (s *server) rate(n int) float64 {
	if n == 0 {
		return 0
	}
	return s.speed * min(1, s.cores/float64(n))
}

// advance brings the virtual time up to now.
func (s *server) advance() {
	s.virtual += s.rate(len(s.jobs)) * (s.w.now - s.updated).Seconds()
	s.updated = s.w.now
}

// schedule plans the end of the job that ends first.
func (s *server) schedule() {
	s.epoch++
	if len(s.jobs) == 0 {
		return
	}
	epoch := s.epoch
	left := (s.jobs[0].ends - s.virtual) / s.rate(len(s.jobs))
	s.w.after(time.Duration(max(left, 0)*float64(time.Second)), func() {
		if epoch != s.epoch {
			return
		}
		s.advance()
		j := heap.Pop(&s.jobs).(*job)
		s.schedule()
		j.done()
	})
}

// serve takes a job of some seconds of work. The returned function cancels it.
func (s *server) serve(work float64, done func()) (cancel func()) {
	s.advance()
	came, jobs := s.w.now, len(s.jobs)
	j := &job{ends: s.virtual + work, came: came, done: func() {
		s.ended[s.next%len(s.ended)] = sample{jobs, s.w.now - came}
		s.next++
		done()
	}}
	heap.Push(&s.jobs, j)
	s.schedule()
	return func() {
		if j.index >= 0 {
			s.advance()
			heap.Remove(&s.jobs, j.index)
			s.schedule()
		}
	}
}

// setSpeed changes how fast it works from now on.
func (s *server) setSpeed(v float64) {
	s.advance()
	s.speed = v
	s.schedule()
}
