package platform

import (
	"fmt"
	"runtime/debug"

	"github.com/micro/go-platform/internal/fault"
)

// guard runs f, the code of whoever uses this package, and returns a panic of it as
// an error: the program then stops in order, and nothing that is buffered is lost.
type guard func(what string, f func() error) error

func (a *App) guard(what string, f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		a.Logger("platform").Error(what+" panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		err = fault.Panicked(p)
	}()
	return f()
}
