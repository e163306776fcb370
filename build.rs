//! Links the unwinder into the program: a shared libgcc_s costs every start a tenth of its time.

fn main() {
    // Where the system is GNU, std asks for libgcc_s; what is found in libgcc_eh before needs
    // nothing of it.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
