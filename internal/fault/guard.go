package fault

import "fmt"

// Guard runs f, the code of somebody else, and returns a panic of it as an error.
// A goroutine of this library that calls what it was given does so through Guard:
// there is nobody above it who could recover.
func Guard(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("panic: %w", p)
		default:
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}
