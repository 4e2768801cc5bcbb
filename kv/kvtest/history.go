package kvtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/micro/go-platform/kv"
)

// Faults makes trouble while a history is recorded, until ctx ends, and leaves
// the backend well.
type Faults func(ctx context.Context)

// enough operations say something. Fewer were answered if the machine is busy.
const enough = 100

// Linearizable has several clients read, write, create, compare and swap and
// delete on a few keys while faults make trouble for d, and on in peace until
// enough was answered, and checks that there is an order in which all that they
// were told is true: that the store is linearizable (Herlihy and Wing, 1990;
// checked by porcupine). A write whose
// outcome is unknown may take effect at any later time, or never. open returns
// a store for each client. Only for backends whose Features say Linearizable.
func Linearizable(t *testing.T, open func() kv.KV, d time.Duration, faults Faults) {
	t.Helper()
	const clients, keys = 6, 3
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		wg      sync.WaitGroup
		unknown int
		start   = time.Now()
		prefix  = namespace()
	)
	ctx, stop := context.WithTimeout(t.Context(), d+30*time.Second)
	defer stop()
	trouble, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for c := range clients {
		store := open()
		wg.Go(func() {
			defer store.Close()
			random := rand.New(rand.NewPCG(uint64(c), 7))
			revs := map[string]kv.Revision{}
			for n := 0; ctx.Err() == nil; n++ {
				in := regInput{Key: fmt.Sprint(prefix, random.IntN(keys)), Op: regOps[random.IntN(len(regOps))], Value: fmt.Sprintf("%d.%d", c, n)}
				in.Rev = revs[in.Key]
				if in.Rev == 0 && (in.Op == "cas" || in.Op == "delete-if") {
					in.Op = "get"
				}
				call := time.Since(start)
				out := in.run(t, store)
				back := time.Since(start)
				if out.Rev != 0 {
					revs[in.Key] = out.Rev
				}
				op := porcupine.Operation{ClientId: c, Input: in, Call: int64(call), Output: out, Return: int64(back)}
				mu.Lock()
				switch {
				case out.Unknown && in.Op != "get":
					unknown++
					op.Return = math.MaxInt64
					history = append(history, op)
				case !out.Failed && !out.Unknown:
					history = append(history, op)
				}
				if trouble.Err() != nil && len(history) >= enough {
					stop()
				}
				mu.Unlock()
				if out.Failed || out.Unknown {
					select {
					case <-time.After(20 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	if faults != nil {
		faults(trouble)
	}
	wg.Wait()
	result, info := porcupine.CheckOperationsVerbose(registerModel, history, 30*time.Second)
	t.Logf("%d operations, %d of unknown outcome: %s", len(history), unknown, result)
	if len(history) < enough {
		t.Errorf("only %d operations were answered: nothing is shown", len(history))
	}
	if result == porcupine.Illegal {
		path := filepath.Join(os.TempDir(), "kv-history-"+prefix+".html")
		if err := porcupine.VisualizePath(registerModel, info, path); err == nil {
			t.Logf("the history is drawn in %s", path)
		}
		t.Error("the history is not linearizable")
	}
}

var regOps = []string{"get", "get", "get", "put", "create", "cas", "cas", "cas", "delete", "delete-if"}

type regInput struct {
	Key, Op, Value string
	Rev            kv.Revision
}

type regOutput struct {
	Value   string
	Rev     kv.Revision
	There   bool // get found something
	Refused bool // the condition did not hold
	Failed  bool // certainly nothing was done
	Unknown bool
}

func (in regInput) run(t *testing.T, store kv.KV) (out regOutput) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	switch in.Op {
	case "get":
		var item kv.Item
		item, err = store.Get(ctx, in.Key)
		out.Value, out.Rev, out.There = string(item.Value), item.Revision, err == nil
		if errors.Is(err, kv.ErrNotFound) {
			err = nil
		}
	case "put":
		out.Rev, err = store.Put(ctx, in.Key, []byte(in.Value))
	case "create":
		out.Rev, err = store.Put(ctx, in.Key, []byte(in.Value), kv.IfAbsent())
	case "cas":
		out.Rev, err = store.Put(ctx, in.Key, []byte(in.Value), kv.IfRevision(in.Rev))
	case "delete":
		err = store.Delete(ctx, in.Key)
	case "delete-if":
		err = store.Delete(ctx, in.Key, kv.IfRevision(in.Rev))
	}
	switch {
	case err == nil:
	case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrExists):
		out.Refused = true
	case errors.Is(err, kv.ErrUnknownOutcome):
		out.Unknown = true
	case errors.Is(err, kv.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		out.Failed = true
	default:
		out.Failed = true
		t.Errorf("%s gave an error of no kind that a fault explains: %v", in.Op, err)
	}
	return out
}

// register is what a key holds. The revision of a write of unknown outcome is
// not known until somebody reads it.
type register struct {
	there bool
	value string
	rev   kv.Revision // 0: not known
}

var registerModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(regInput).Key
			byKey[key] = append(byKey[key], op)
		}
		return slices.Collect(maps.Values(byKey))
	},
	Init:  func() []any { return []any{register{}} },
	Equal: func(a, b any) bool { return a == b },
	Step: func(state, input, output any) []any {
		return stepRegister(state.(register), input.(regInput), output.(regOutput))
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}).ToModel()

// stepRegister returns the states that may follow, none if the answer cannot
// be.
func stepRegister(s register, in regInput, out regOutput) []any {
	written := register{there: in.Op != "delete" && in.Op != "delete-if"}
	if written.there {
		written.value, written.rev = in.Value, out.Rev
	}
	// Whether the condition holds; both if the revision is not known.
	may, mayNot := true, false
	switch in.Op {
	case "get":
		if out.There != s.there || (s.there && (out.Value != s.value || (s.rev != 0 && out.Rev != s.rev))) {
			return nil
		}
		if s.there {
			s.rev = out.Rev
		}
		return []any{s}
	case "create":
		may, mayNot = !s.there, s.there
	case "cas", "delete-if":
		known := !s.there || s.rev != 0
		match := s.there && s.rev == in.Rev
		may, mayNot = match || !known, !match || !known
	}
	switch {
	case out.Unknown && may:
		return []any{s, written}
	case out.Unknown:
		return []any{s}
	case out.Refused && mayNot:
		return []any{s}
	case !out.Refused && may:
		return []any{written}
	}
	return nil
}

// Trouble is the usual set of faults, in turns: answers are cut off, connections
// reset, and, once in a while, restart kills the server and starts it again. Any
// may be nil.
func Trouble(cutReplies func(n int), reset, restart func()) Faults {
	return func(ctx context.Context) {
		wait := func(d time.Duration) bool {
			select {
			case <-time.After(d):
				return true
			case <-ctx.Done():
				return false
			}
		}
		for n := 1; wait(60 * time.Millisecond); n++ {
			switch {
			case n%12 == 0 && restart != nil:
				restart()
			case n%3 == 0 && reset != nil:
				reset()
			case cutReplies != nil:
				cutReplies(2)
			}
		}
	}
}

// Chaos returns how long a test under faults runs: short, or what the variable
// CHAOS of the environment says, such as "1m".
func Chaos(short time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("CHAOS")); err == nil && d > 0 {
		return d
	}
	return short
}
