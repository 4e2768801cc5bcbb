package nats_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream with replicas refuses a condition with a code of its own.
func TestARefusedConditionIsKnownByItsCode(t *testing.T) {
	code := func(n jetstream.ErrorCode) error {
		return fmt.Errorf("put: %w", &jetstream.APIError{Code: 400, ErrorCode: n})
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{code(10071), true}, {code(10164), true}, {fmt.Errorf("%w: %w", code(10164), jetstream.ErrKeyRevisionMismatch), true},
		{code(10072), false}, {errors.New("10071"), false}, {nil, false},
	} {
		if got := nats.Conflict(c.err); got != c.want {
			t.Errorf("Conflict(%v): %v, want %v", c.err, got, c.want)
		}
	}
}
