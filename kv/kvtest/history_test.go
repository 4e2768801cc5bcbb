package kvtest

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestModelRefusesWhatCannotBe gives the model histories that no register has.
func TestModelRefusesWhatCannotBe(t *testing.T) {
	op := func(client int, call, back int64, in regInput, out regOutput) porcupine.Operation {
		in.Key = "k"
		return porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: back}
	}
	for _, c := range []struct {
		name  string
		want  bool
		steps []porcupine.Operation
	}{
		{"a write is read", true, []porcupine.Operation{
			op(0, 0, 1, regInput{Op: "put", Value: "a"}, regOutput{Rev: 1}),
			op(1, 2, 3, regInput{Op: "get"}, regOutput{There: true, Value: "a", Rev: 1}),
		}},
		{"a write is not seen", false, []porcupine.Operation{
			op(0, 0, 1, regInput{Op: "put", Value: "a"}, regOutput{Rev: 1}),
			op(1, 2, 3, regInput{Op: "get"}, regOutput{}),
		}},
		{"two create", false, []porcupine.Operation{
			op(0, 0, 5, regInput{Op: "create", Value: "a"}, regOutput{Rev: 1}),
			op(1, 0, 5, regInput{Op: "create", Value: "b"}, regOutput{Rev: 2}),
		}},
		{"two swap the same revision", false, []porcupine.Operation{
			op(0, 0, 1, regInput{Op: "put", Value: "a"}, regOutput{Rev: 1}),
			op(0, 2, 5, regInput{Op: "cas", Value: "b", Rev: 1}, regOutput{Rev: 2}),
			op(1, 2, 5, regInput{Op: "cas", Value: "c", Rev: 1}, regOutput{Rev: 3}),
		}},
		{"an unknown write shows late", true, []porcupine.Operation{
			op(0, 0, 1<<62, regInput{Op: "put", Value: "a"}, regOutput{Unknown: true}),
			op(1, 2, 3, regInput{Op: "get"}, regOutput{}),
			op(1, 4, 5, regInput{Op: "get"}, regOutput{There: true, Value: "a", Rev: 9}),
			op(1, 6, 7, regInput{Op: "cas", Value: "b", Rev: 9}, regOutput{Rev: 10}),
		}},
		{"an unknown write shows twice", false, []porcupine.Operation{
			op(0, 0, 1<<62, regInput{Op: "put", Value: "a"}, regOutput{Unknown: true}),
			op(1, 2, 3, regInput{Op: "get"}, regOutput{There: true, Value: "a", Rev: 9}),
			op(1, 4, 5, regInput{Op: "delete"}, regOutput{}),
			op(1, 6, 7, regInput{Op: "get"}, regOutput{There: true, Value: "a", Rev: 9}),
		}},
	} {
		if got := porcupine.CheckOperations(registerModel, c.steps); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
