/// A struct that a plan takes apart as metadata lists its fields.
///
/// Metadata is silent about one thing: of a stored property whose type is `some P` it names the type behind it. Callers do not
/// know that type by convention, and pass the struct by address (swift/lib/SIL/IR/TypeLowering.cpp, minimal resilience
/// expansion).
package struct StructLayout: Hashable, Sendable {
    /// With its module, `Shop.Cart`, and without generic arguments.
    package let name: String
    /// The stored properties, in the order of declaration.
    package let properties: [String]

    init(_ type: TypeMetadata) {
        let nominal = NominalType(type)
        name = nominal.descriptor.path.joined(separator: ".")
        properties = ((try? nominal.fields()) ?? []).map(\.label)
    }
}

extension CallPlan {
    /// The structs that are passed by their fields, at any depth, but for Swift's own.
    package var structLayouts: Set<StructLayout> {
        var types: Set<TypeMetadata> = []
        collectStructs(into: &types)
        return Set(types.map(StructLayout.init))
    }

    private func collectStructs(into types: inout Set<TypeMetadata>) {
        for leaf in arguments.flatMap(\.leaves) {
            switch leaf.passing {
            case .closure(_, _, _, let plan): plan.collectStructs(into: &types)
            case .direct: types.formUnion(structs(in: leaf.type))
            default: break  // by address, or nothing, whatever its fields are
            }
        }
        for leaf in result.leaves {
            if case .closure(let plan) = leaf.passing {
                plan.collectStructs(into: &types)
            } else {
                types.formUnion(structs(in: leaf.type))
            }
        }
    }

    private func structs(in type: TypeMetadata) -> Set<TypeMetadata> {
        // The plan was made with it.
        guard let lowering = try? Lowering(of: type, on: architecture), !lowering.isAddressOnly else { return [] }
        return lowering.structs
    }
}
