package router

// attempt is the open end of a Pick.
type attempt struct{}

// Done says how the attempt went. The first call counts.
func (p Pick) Done(o Outcome) {}
