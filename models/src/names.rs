//! Names of parameters in checkpoints, declared next to the fields that hold them.
//!
//! Burn visits the parameters of a module by the names of Rust's fields and types. [`FieldNames`] maps them to names that do not change
//! when code is renamed; [`parameter_path`](crate::parameter_path) joins them to full names.

/// Names in checkpoints of the fields of a struct, or of the variants of an enum.
#[derive(Debug, Clone, Copy)]
pub struct FieldNames {
    /// The type, as Burn names it when it visits a module, such as `Struct:Lstm`.
    container: &'static str,
    /// Each field with its name in checkpoints, in the order of the struct.
    fields: &'static [(&'static str, &'static str)],
}

impl FieldNames {
    /// Declares the names of a type's fields; see [`names!`].
    pub(crate) const fn new(container: &'static str, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { container, fields }
    }

    /// The name of a field in checkpoints; `None` if it belongs to another type or is not declared.
    pub fn name(&self, container: &str, field: &str) -> Option<&'static str> {
        let declared = self.fields.iter().find(|(declared, _)| self.container == container && *declared == field);
        declared.map(|(_, name)| *name)
    }
}

/// Declares the names of a type's fields in checkpoints: `names!(Gru { weights: "weights", weight_hn: "weight_hn" })`,
/// or `names!(enum Backbone { … })`. A field that does not exist is a compile error, so a field is renamed together
/// with its declaration.
macro_rules! names {
    ($container:ident $(<$generic:ty>)? { $($field:ident: $name:literal),* $(,)? }) => {{
        const _: fn(&$container $(<$generic>)?) = |container| {
            let $container { $($field: _,)* .. } = container;
        };
        $crate::names::FieldNames::new(concat!("Struct:", stringify!($container)), &[$((stringify!($field), $name)),*])
    }};
    (enum $container:ident { $($variant:ident: $name:literal),* $(,)? }) => {{
        const _: fn(&$container) = |container| match container {
            $($container::$variant(_) => {})*
        };
        $crate::names::FieldNames::new(concat!("Enum:", stringify!($container)), &[$((stringify!($variant), $name)),*])
    }};
}
pub(crate) use names;
