package sql_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// Who waits until another has made the tables gives up with its own context.
func TestWhoWaitsForTablesMayLeave(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	tables := &sql.Tables{There: func(context.Context) error {
		asked <- struct{}{}
		<-answer
		return nil
	}}
	first := make(chan error, 1)
	go func() { first <- tables.Make(t.Context()) }()
	<-asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	second := make(chan error, 1)
	go func() { second <- tables.Make(ended) }()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the end of the context", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the other one, although its context has ended")
	}
	third := make(chan error, 1)
	go func() { third <- tables.Make(t.Context()) }()
	close(answer)
	for _, made := range []chan error{first, third} { // the third did not ask, or it would wait for somebody to hear it
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
}
