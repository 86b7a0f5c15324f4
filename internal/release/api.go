package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/types"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

const apiHeader = "# The exported API. To update it: make api UPDATE=1\n"

// checkAPI compares the exported API of the module in a directory with the file that lists it,
// or writes the file.
func checkAPI(file, dir string, update bool) error {
	_, pkgs, err := load(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, p := range pkgs {
		lines = append(lines, exported(p)...)
	}
	slices.Sort(lines)
	now := apiHeader + strings.Join(lines, "\n") + "\n"
	if update {
		return os.WriteFile(file, []byte(now), 0o644)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if string(before) == now {
		return nil
	}
	return fmt.Errorf("the exported API differs from %s:\n%s"+
		"If that is intended, run `make api UPDATE=1` and commit the file with the change", file, difference(string(before), now))
}

// difference lists the lines that are only in one of two texts.
func difference(before, now string) string {
	var out bytes.Buffer
	old, current := strings.Split(before, "\n"), strings.Split(now, "\n")
	for _, line := range old {
		if !slices.Contains(current, line) {
			fmt.Fprintln(&out, "-", line)
		}
	}
	for _, line := range current {
		if !slices.Contains(old, line) {
			fmt.Fprintln(&out, "+", line)
		}
	}
	return out.String()
}

// load returns the path of the module in a directory, and its packages that others can import.
func load(dir string) (modulePath string, pkgs []*types.Package, err error) {
	mode := packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedModule
	found, err := packages.Load(&packages.Config{Mode: mode, Dir: dir, Env: append(os.Environ(), "GOWORK=off")}, "./...")
	if err != nil {
		return "", nil, err
	}
	for _, p := range found {
		internal := slices.Contains(strings.Split(p.PkgPath, "/"), "internal")
		if internal || p.Name == "main" || len(p.GoFiles) == 0 {
			continue
		}
		for _, e := range p.Errors {
			err = errors.Join(err, e)
		}
		modulePath = p.Module.Path
		pkgs = append(pkgs, p.Types)
	}
	if err == nil && pkgs == nil {
		err = fmt.Errorf("no packages in %s", dir)
	}
	return modulePath, pkgs, err
}

// exported lists the API of a package: a line for each constant with its value, variable,
// function and type, and for each field and method of a type, including promoted methods.
func exported(p *types.Package) (lines []string) {
	qualifier := func(other *types.Package) string {
		if other == p {
			return ""
		}
		return other.Name()
	}
	for _, name := range p.Scope().Names() {
		object := p.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch o := object.(type) {
		case *types.Const:
			lines = append(lines, fmt.Sprintf("const %s %s = %s", name, types.TypeString(o.Type(), qualifier), o.Val().ExactString()))
		case *types.Func:
			lines = append(lines, "func "+name+signature(o, qualifier))
		case *types.TypeName:
			lines = append(lines, exportedType(o, qualifier)...)
		default:
			lines = append(lines, types.ObjectString(o, qualifier))
		}
	}
	for i, line := range lines {
		lines[i] = p.Name() + ": " + line
	}
	return lines
}

func exportedType(o *types.TypeName, qualifier types.Qualifier) []string {
	t := o.Type().Underlying()
	if o.IsAlias() {
		t = nil
	}
	switch t := t.(type) {
	case *types.Struct:
		lines := []string{"type " + o.Name() + " struct"}
		for field := range t.Fields() {
			if field.Exported() {
				lines = append(lines, fmt.Sprintf("type %s struct, %s %s", o.Name(), field.Name(), types.TypeString(field.Type(), qualifier)))
			}
		}
		return append(lines, methods(o, qualifier)...)
	case *types.Interface:
		lines := []string{"type " + o.Name() + " interface"}
		for method := range t.Methods() {
			lines = append(lines, fmt.Sprintf("type %s interface, %s%s", o.Name(), method.Name(), signature(method, qualifier)))
		}
		return lines
	default:
		return append([]string{types.ObjectString(o, qualifier)}, methods(o, qualifier)...)
	}
}

// methods lists the methods of a type and of pointers to it.
func methods(o *types.TypeName, qualifier types.Qualifier) (lines []string) {
	value := types.NewMethodSet(o.Type())
	for selection := range types.NewMethodSet(types.NewPointer(o.Type())).Methods() {
		method := selection.Obj().(*types.Func)
		if !method.Exported() {
			continue
		}
		receiver := o.Name()
		if value.Lookup(method.Pkg(), method.Name()) == nil {
			receiver = "*" + receiver
		}
		lines = append(lines, fmt.Sprintf("method (%s) %s%s", receiver, method.Name(), signature(method, qualifier)))
	}
	return lines
}

// signature formats a signature without the names of parameters: callers do not depend on them.
func signature(f *types.Func, qualifier types.Qualifier) string {
	s := f.Signature()
	// A type parameter belongs to one signature only.
	parameters := slices.Collect(s.TypeParams().TypeParams())
	for i, p := range parameters {
		parameters[i] = types.NewTypeParam(p.Obj(), p.Constraint())
	}
	unnamed := types.NewSignatureType(nil, nil, parameters, unnamed(s.Params()), unnamed(s.Results()), s.Variadic())
	return strings.TrimPrefix(types.TypeString(unnamed, qualifier), "func")
}

func unnamed(tuple *types.Tuple) *types.Tuple {
	var variables []*types.Var
	for v := range tuple.Variables() {
		variables = append(variables, types.NewVar(v.Pos(), v.Pkg(), "", v.Type()))
	}
	return types.NewTuple(variables...)
}
