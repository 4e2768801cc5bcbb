package fault

import "fmt"

// Guard runs f, the code of somebody else, and returns a panic of it as an error.
// A goroutine of this library that calls what it was given does so through Guard:
// there is nobody above it who could recover.
func Guard(f func() error) (err error) {
	defer func() {
		p := recover()
		if p != nil {
			err = Panicked(p)
		}
	}()
	return f()
}

// Panicked returns what was recovered as an error, with its cause if it was one.
func Panicked(p any) error {
	if cause, ok := p.(error); ok {
		return fmt.Errorf("panic: %w", cause)
	}
	return fmt.Errorf("panic: %v", p)
}
