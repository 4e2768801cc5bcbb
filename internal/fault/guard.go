package fault

import "fmt"

// Guard runs f, the code of somebody else, and returns a panic of it as an error.
// A goroutine of this library that calls what it was given does so through Guard:
// there is nobody above it who could recover. The error it returns can say what it is:
// one that can't, such as a nil pointer in an error, is a panic too.
func Guard(f func() error) (err error) {
	defer func() {
		p := recover()
		if p != nil {
			err = Panicked(p)
		}
	}()
	err = f()
	if err != nil {
		_ = err.Error()
	}
	return err
}

// Panicked returns what was recovered as an error, with its cause if it was one.
func Panicked(p any) error {
	if cause, ok := p.(error); ok {
		return fmt.Errorf("panic: %w", cause)
	}
	return fmt.Errorf("panic: %v", p)
}
