package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	gosync "sync"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

// Job is work that goes on beside the servers of Run, such as an outbox's relay,
// or RunElected of package sync:
//
//	app.Run(ctx, platform.HTTP(":8080", mux), platform.Job(func(ctx context.Context) error {
//		return box.Relay(ctx, app.Event())
//	}))
//
// f begins with the servers. Its context ends when the process is to stop and
// the calls in progress have ended; Run waits for f, within WithStopTimeout, and
// closes the parts that it uses after that; one that does not end is an error of
// Run, which returns when it has ended. An error of f before ends the
// program, as that of a server does; nil only ends the job. One after its context
// has ended is part of Run's error, unless it is context.Canceled. A panic of f is an
// error too, so that the program stops in order; its stack is logged. A job is not
// registered, and Run with jobs alone is a program without an address.
func Job(f func(ctx context.Context) error) Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &job{f: f, ctx: ctx, cancel: cancel, done: make(chan struct{})}
}

type job struct {
	f      func(ctx context.Context) error
	ctx    context.Context
	cancel context.CancelFunc
	begin  gosync.Once
	done   chan struct{}
	guard  guard // of the program
	late   error // of f, after its context had ended; read when done is closed
}

func (j *job) Address() string { return "" }

// Serve needs no listener.
func (j *job) Serve(net.Listener, *wrapper.Wrapper, monitor.Monitor) error {
	mine := false
	j.begin.Do(func() { mine = true })
	if !mine {
		return nil // it was stopped before it began
	}
	defer close(j.done)
	err := j.guard("job", func() error { return j.f(j.ctx) })
	if j.ctx.Err() != nil {
		j.late = err
		return nil
	}
	return err
}

func (j *job) Shutdown(ctx context.Context) error {
	j.cancel()
	j.begin.Do(func() { close(j.done) })
	select {
	case <-j.done:
		if j.late != nil && !errors.Is(j.late, context.Canceled) {
			return fmt.Errorf("a job: %w", j.late)
		}
		return nil
	case <-ctx.Done():
		return errors.New("a job has not ended: " + ctx.Err().Error())
	}
}
